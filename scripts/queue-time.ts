/**
 * Times one worker and two workers of a plan: without a queue, and on the Redis and the PostgreSQL of this machine, where they are.
 *   node dist/scripts/queue-time.js [--model FILE] [--text FILE] [--threads 1] [--shards 4] [-- FLAGS OF compile]
 * Prints a row for each: seconds of one worker, of two, and their ratio. `--threads` is the number of each worker, also of the one alone.
 */
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, cpSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { postgresFolder, postgresServer, redisPath, redisServer } from '../test/support/servers.js';
import { here } from './fuzz/target.js';

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    model: { type: 'string', default: join(here, 'fixtures/models/mistral-656k/model.onnx') },
    text: { type: 'string', default: join(here, 'fixtures/text/stories-calibration.txt') },
    threads: { type: 'string', default: '1' },
    shards: { type: 'string', default: '4' },
  },
});

const MAIN = join(here, 'dist/src/cli/main.js');
const folder = mkdtempSync(join(tmpdir(), 'matquant-queue-time-'));
const fresh = join(folder, 'plan');

/** Seconds until all of some workers of a new copy of the plan have ended. */
async function timed(name: string, workers: number, queue: readonly string[]): Promise<number> {
  const copy = join(folder, name);
  cpSync(fresh, copy, { recursive: true });
  const args = [MAIN, 'worker', copy, '--threads', values.threads, '--poll', '0.2', '--quiet', ...queue];
  const started = performance.now();
  const all = Array.from({ length: workers }, () =>
    spawn(process.execPath, args, { stdio: ['ignore', 'ignore', 'inherit'] }),
  );
  const codes = await Promise.all(all.map(async (child) => (await once(child, 'exit'))[0] as number | null));
  const seconds = (performance.now() - started) / 1000;
  if (codes.some((code) => code !== 0)) throw new Error(`A worker ended with ${codes.join(' and ')}`);
  rmSync(copy, { recursive: true });
  return seconds;
}

async function row(name: string, queue: readonly string[]): Promise<void> {
  const [one, two] = [await timed(`${name}-1`, 1, queue), await timed(`${name}-2`, 2, queue)];
  const figures = `${one.toFixed(1)} s, ${two.toFixed(1)} s, two take ${(two / one).toFixed(2)} of one`;
  console.log(`${name}: ${figures} (${values.threads} threads each)`);
}

try {
  // The user of PostgreSQL goes through it.
  chmodSync(folder, 0o755);
  const made = [values.model, '-o', fresh, '--text', values.text, '--shards', values.shards, ...positionals];
  const planned = spawnSync(process.execPath, [MAIN, 'plan', ...made], { encoding: 'utf8' });
  if (planned.status !== 0) throw new Error(planned.stderr);
  await row('folder', []);
  for (const [name, isHere, open] of [
    ['redis', redisPath !== undefined, redisServer],
    ['postgres', postgresFolder !== undefined, postgresServer],
  ] as const) {
    if (!isHere) continue;
    const server = await open(join(folder, `server-${name}`));
    await server.start();
    try {
      await row(name, ['--queue', server.url]);
    } finally {
      await server.stop();
    }
  }
} finally {
  rmSync(folder, { recursive: true });
}
