/** Keeps one worker busy at a time, and sees to it that a case which hangs, crashes or eats memory is caught and kept. */
import { type ChildProcess, fork } from 'node:child_process';
import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { caseFolder, type Fault, type Message, newTally, type Tally } from './messages.js';

export interface Watch {
  readonly root: string;
  readonly seed: number;
  /** First case. */
  readonly from: number;
  /** Cases at most. */
  readonly cases: number;
  /** No case begins after this time (of `Date.now`). */
  readonly until: number;
  /** Seconds of one case. */
  readonly limitSeconds: number;
  /** Resident bytes of the process. */
  readonly limitBytes: number;
  /** Folder of the cases that failed. */
  readonly out: string;
  /** Called for every fault. */
  readonly onFault: (fault: Fault) => void;
}

const WORKER = fileURLToPath(new URL('./worker.js', import.meta.url));
/** Cases of one process: what leaks does not grow without end, and is not hidden either. */
const BATCH = 400;
const SAMPLE_MS = 100;
/** Time for a kind to make ready. */
const READY_SECONDS = 180;

/** Runs the cases of one kind. */
export async function watchKind(kind: string, watch: Watch): Promise<Tally> {
  const tally = newTally(kind);
  const scratch = mkdtempSync(join(tmpdir(), `matquant-fuzz-${kind}-`));
  try {
    const end = watch.from + watch.cases;
    for (let next = watch.from; next < end && Date.now() < watch.until; ) {
      next = await runBatch(kind, next, Math.min(end, next + BATCH), scratch, watch, tally);
    }
    return tally;
  } finally {
    rmSync(scratch, { recursive: true, force: true });
  }
}

/** Runs one process; gives the index of the case to go on with. */
async function runBatch(
  kind: string,
  from: number,
  to: number,
  scratch: string,
  watch: Watch,
  tally: Tally,
): Promise<number> {
  rmSync(scratch, { recursive: true, force: true });
  mkdirSync(scratch);
  const args = [watch.root, kind, watch.seed, from, to, watch.until, scratch, watch.out].map(String);
  const child = fork(WORKER, args, { stdio: ['ignore', 'ignore', 'pipe', 'ipc'], execArgv: ['--no-warnings'] });
  const batch = new Batch(kind, scratch, watch, tally);
  let errors = '';
  child.stderr?.on('data', (text: Buffer) => {
    errors = `${errors}${text}`.slice(-2000);
  });
  child.on('message', (message: Message) => batch.hear(message));
  const timer = setInterval(() => batch.look(child), SAMPLE_MS);
  const how = await new Promise<string>((resolve) => {
    child.once('exit', (code, signal) => resolve(signal ?? String(code)));
  });
  clearInterval(timer);
  return batch.close(how, errors);
}

class Batch {
  readonly #kind: string;
  readonly #scratch: string;
  readonly #watch: Watch;
  readonly #tally: Tally;
  #running: { index: number; note: string } | undefined;
  #since = Date.now();
  #ready = false;
  #next: number | undefined;
  #killed: 'hang' | 'memory' | undefined;

  constructor(kind: string, scratch: string, watch: Watch, tally: Tally) {
    this.#kind = kind;
    this.#scratch = scratch;
    this.#watch = watch;
    this.#tally = tally;
  }

  hear(message: Message): void {
    this.#since = Date.now();
    if (message.type === 'ready') this.#ready = true;
    if (message.type === 'begin') this.#running = message;
    if (message.type === 'done') this.#next = message.next;
    if (message.type !== 'end') return;
    this.#count(message);
    this.#running = undefined;
  }

  /** Looks at time and memory of the process. */
  look(child: ChildProcess): void {
    const bytes = residentBytes(child.pid);
    this.#tally.peakBytes = Math.max(this.#tally.peakBytes, bytes);
    const late = Date.now() - this.#since > 1000 * (this.#ready ? this.#watch.limitSeconds : READY_SECONDS);
    if (late) this.#killed = 'hang';
    else if (bytes > this.#watch.limitBytes) this.#killed = 'memory';
    if (this.#killed !== undefined) child.kill('SIGKILL');
  }

  /** After the process: the case it died of, and where to go on. */
  close(how: string, errors: string): number {
    if (this.#next !== undefined) return this.#next;
    if (this.#running === undefined) throw new Error(`the worker of ${this.#kind} ended with ${how}: ${errors}`);
    const { index } = this.#running;
    this.#tally.cases++;
    if (this.#killed === 'hang') this.#tally.hangs++;
    else this.#tally.crashes++;
    const last = errors.trim().split('\n').slice(-3).join(' ');
    const saved = caseFolder(this.#watch.out, this.#kind, this.#watch.seed, index);
    cpSync(join(this.#scratch, 'case'), saved, { recursive: true });
    this.#fault(this.#killed ?? 'crash', `the process ended with ${how} ${last}`);
    return index + 1;
  }

  #count(message: Extract<Message, { type: 'end' }>): void {
    const { how, code, detail = '', kl, limit, seconds = 0 } = message;
    const tally = this.#tally;
    tally.cases++;
    tally.slowest = Math.max(tally.slowest, seconds);
    if (kl !== undefined && limit !== undefined) {
      tally.compared++;
      tally.worstKl = Math.max(tally.worstKl, kl);
      tally.worstShare = Math.max(tally.worstShare, kl / limit);
    }
    if (how === 'success') tally.succeeded++;
    if (how === 'refused') tally.refused++;
    if (how === 'wrong') tally.wrong++;
    if (how === 'crash') tally.crashes++;
    if (code !== undefined) tally.codes[code] = (tally.codes[code] ?? 0) + 1;
    if (how === 'wrong' || how === 'crash') this.#fault(how, detail);
    if (how !== 'refused' || detail === '') return;
    tally.left++;
    this.#fault('left', detail);
  }

  #fault(how: Fault['how'], detail: string): void {
    const { index, note } = this.#running ?? { index: -1, note: '' };
    const saved = caseFolder(this.#watch.out, this.#kind, this.#watch.seed, index);
    const fault = { kind: this.#kind, index, note, how, detail, saved };
    this.#tally.faults.push(fault);
    this.#watch.onFault(fault);
  }
}

/** Resident bytes now (Linux); 0 elsewhere or once the process is gone. */
export function residentBytes(pid: number | undefined): number {
  try {
    return 1024 * Number(/^VmRSS:\s*(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1] ?? 0);
  } catch {
    return 0;
  }
}
