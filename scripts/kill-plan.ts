/**
 * Kills workers of a plan at random instants until enough were killed, lets the rest end, and compares the merged set with that of an
 * undisturbed compilation. Counts units that were finished and run again, of which there must be none.
 *   node dist/scripts/kill-plan.js [--model FILE] [--text FILE | --ids FILE] [--kills 50] [--workers 4] [--threads 1] [--shards 4]
 *     [--seed 0] [--folder FOLDER] [-- FLAGS OF compile]
 * Kills come at random instants of the time that one undisturbed worker takes for all units. Where a plan is done before enough kills, a
 * new one begins. Prints one line of JSON; exit code 1 when a byte differs or a finished unit was run again.
 */
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { digestOfWhole } from '../src/files/range-digests.js';
import { createRandom } from '../src/random.js';
import { here } from './fuzz/target.js';

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    model: { type: 'string', default: join(here, 'fixtures/models/mistral-656k/model.onnx') },
    text: { type: 'string' },
    ids: { type: 'string' },
    kills: { type: 'string', default: '50' },
    workers: { type: 'string', default: '4' },
    threads: { type: 'string', default: '1' },
    shards: { type: 'string', default: '4' },
    seed: { type: 'string', default: '0' },
    folder: { type: 'string' },
  },
});

const MAIN = join(here, 'dist/src/cli/main.js');
const folder = mkdtempSync(join(values.folder ?? tmpdir(), 'matquant-kill-plan-'));
const random = createRandom(Number(values.seed));
const text =
  values.ids === undefined
    ? ['--text', values.text ?? join(here, 'fixtures/text/stories-excerpt.txt')]
    : ['--ids', values.ids];
const flags = [...text, '--shards', values.shards, ...positionals];

function run(...args: readonly string[]): string {
  const { status, stdout, stderr } = spawnSync(process.execPath, [MAIN, ...args, '--quiet'], { encoding: 'utf8' });
  if (status !== 0) throw new Error(`matquant ${args.join(' ')} ends with ${status}: ${stderr}`);
  return stdout;
}

/** Names and digests of the files of a folder. */
const digestsIn = (place: string): Readonly<Record<string, string>> =>
  existsSync(place)
    ? Object.fromEntries(
        readdirSync(place)
          .filter((name) => !name.startsWith('.'))
          .map((name) => [name, digestOfWhole(join(place, name))]),
      )
    : {};

/** What happened to workers of all plans. */
const counts = { plans: 0, kills: 0, started: 0, damaged: 0, finishedAgain: 0, unitsRun: 0, units: 0 };
/** Lines of workers that say that a unit is done, by unit. */
const completions = new Map<string, number>();
/** Markers as they were first seen. */
let markers: Record<string, string> = {};

function look(plan: string): void {
  for (const [name, digest] of Object.entries(digestsIn(join(plan, 'done')))) {
    if (markers[name] !== undefined && markers[name] !== digest) counts.finishedAgain++;
    markers[name] = digest;
  }
}

/** Starts a worker that counts what it says. */
function start(plan: string): ChildProcess {
  const child = spawn(
    process.execPath,
    [MAIN, 'worker', plan, '--threads', values.threads, '--poll', '0.1', '--lease', '30'],
    {
      stdio: ['ignore', 'ignore', 'pipe'],
    },
  );
  counts.started++;
  let said = '';
  child.stderr?.setEncoding('utf8').on('data', (piece: string) => {
    said += piece;
  });
  child.on('close', () => {
    for (const [, unit = ''] of said.matchAll(/^([\w.-]+): [\d.]+ s, \d+ MB\.$/gm))
      completions.set(unit, (completions.get(unit) ?? 0) + 1);
    counts.damaged += said.split('[damaged-file]').length - 1;
  });
  return child;
}

/** Milliseconds that one worker takes for all units when nobody kills it. */
let wholeMs = 0;

function killOne(child: ChildProcess): void {
  if (counts.kills >= Number(values.kills)) return;
  counts.kills++;
  child.kill('SIGKILL');
}

/** Runs one plan to its end and kills workers on the way. */
async function runPlan(plan: string): Promise<void> {
  run('plan', values.model, '-o', plan, ...flags);
  const { units } = JSON.parse(readFileSync(join(plan, 'plan.json'), 'utf8')) as { units: readonly unknown[] };
  counts.plans++;
  counts.units += units.length - 1;
  markers = {};
  completions.clear();
  const worker = async (): Promise<void> => {
    for (let isDone = false; !isDone; ) {
      const child = start(plan);
      const timer = setTimeout(() => killOne(child), wholeMs * random.uniform());
      const [code, signal] = (await once(child, 'close')) as [number | null, string | null];
      clearTimeout(timer);
      look(plan);
      if (signal === null && code !== 0) throw new Error(`a worker ends with ${code}`);
      isDone = code === 0;
    }
  };
  await Promise.all(Array.from({ length: Number(values.workers) }, worker));
  for (const times of completions.values()) counts.unitsRun += times;
}

try {
  const started = performance.now();
  const reference = join(folder, 'reference');
  run('compile', values.model, '-o', reference, ...flags);
  const expected = JSON.stringify(digestsIn(reference));
  const trial = join(folder, 'trial');
  run('plan', values.model, '-o', trial, ...flags);
  const before = performance.now();
  run('worker', trial, '--threads', values.threads);
  wholeMs = performance.now() - before;
  let same = true;
  for (let at = 0; counts.kills < Number(values.kills); at++) {
    const plan = join(folder, `plan-${at}`);
    const merged = join(folder, `merged-${at}`);
    await runPlan(plan);
    run('merge', plan, '-o', merged);
    same &&= JSON.stringify(digestsIn(merged)) === expected;
    rmSync(plan, { recursive: true });
    process.stderr.write(`plan ${at + 1}: ${counts.kills} kills, bytes ${same ? 'equal' : 'DIFFERENT'}\n`);
  }
  const seconds = Math.round((performance.now() - started) / 1000);
  console.log(JSON.stringify({ workers: Number(values.workers), ...counts, same, seconds }));
  process.exitCode = same && counts.finishedAgain === 0 ? 0 : 1;
} finally {
  rmSync(folder, { recursive: true, force: true });
}
