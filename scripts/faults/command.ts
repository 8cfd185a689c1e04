/** Runs `matquant` of the build under test as people do: in a process of its own. */
import { type ChildProcess, spawn } from 'node:child_process';
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import type { Readable } from 'node:stream';
import { residentBytes } from '../fuzz/watch.js';

export interface Ran {
  readonly code: number | null;
  /** The signal it died of. */
  readonly signal: string | undefined;
  readonly stdout: string;
  readonly stderr: string;
  readonly seconds: number;
  readonly peakBytes: number;
  /** True when it was ended because it took too long or too much memory. */
  readonly ended: boolean;
}

export interface RunOptions {
  /** Folder of temporary files. */
  readonly temporary: string;
  readonly env?: Readonly<Record<string, string>>;
  /** Seconds after which `signal` is sent. */
  readonly after?: number;
  readonly signal?: NodeJS.Signals;
  /** Called after so many seconds while the command runs. */
  readonly meanwhile?: { readonly after: number; readonly act: () => void };
  readonly limitSeconds?: number;
  readonly limitBytes?: number;
}

const LIMIT_SECONDS = 240;
const LIMIT_BYTES = 6 * 2 ** 30;

export function runCommand(root: string, args: readonly string[], options: RunOptions): Promise<Ran> {
  return runNode([join(root, 'dist/src/cli/main.js'), ...args], options);
}

/** Runs `node ARGS…`. */
export async function runNode(args: readonly string[], options: RunOptions): Promise<Ran> {
  mkdirSync(options.temporary, { recursive: true });
  const start = performance.now();
  const child = spawn(process.execPath, args, {
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { ...process.env, TMPDIR: options.temporary, ...options.env },
  });
  const [stdout, stderr] = [textOf(child.stdout), textOf(child.stderr)];
  const stop = watch(child, options);
  const [code, signal] = await new Promise<[number | null, NodeJS.Signals | null]>((resolve, reject) => {
    child.once('error', reject);
    child.once('close', (...how) => resolve(how));
  });
  const { peakBytes, ended } = stop();
  return {
    code,
    signal: signal ?? undefined,
    stdout: stdout(),
    stderr: stderr(),
    seconds: (performance.now() - start) / 1000,
    peakBytes,
    ended,
  };
}

/** What a stream has said so far. */
function textOf(stream: Readable): () => string {
  const pieces: Buffer[] = [];
  stream.on('data', (piece: Buffer) => pieces.push(piece));
  return () => Buffer.concat(pieces).toString('utf8');
}

/** Timers of a running command; the function given back stops them. */
function watch(child: ChildProcess, options: RunOptions): () => { peakBytes: number; ended: boolean } {
  const { after, signal = 'SIGKILL', meanwhile, limitSeconds = LIMIT_SECONDS, limitBytes = LIMIT_BYTES } = options;
  let [peakBytes, ended] = [0, false];
  const end = (): void => {
    ended = true;
    child.kill('SIGKILL');
  };
  const sampler = setInterval(() => {
    peakBytes = Math.max(peakBytes, residentBytes(child.pid));
    if (peakBytes > limitBytes) end();
  }, 50);
  const timers = [
    setTimeout(end, 1000 * limitSeconds),
    ...(after === undefined ? [] : [setTimeout(() => child.kill(signal), 1000 * after)]),
    ...(meanwhile === undefined ? [] : [setTimeout(meanwhile.act, 1000 * meanwhile.after)]),
  ];
  return () => {
    clearInterval(sampler);
    for (const timer of timers) clearTimeout(timer);
    return { peakBytes, ended };
  };
}
