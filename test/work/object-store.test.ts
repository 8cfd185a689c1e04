/** Plans on an object store: workers that share nothing but its address, killed ones, damaged objects, connections that break. */
import { type ChildProcess, type ChildProcessByStdio, spawn } from 'node:child_process';
import { cpSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Readable } from 'node:stream';
import { afterAll, afterEach, beforeAll, describe, expect, it, jest } from '@jest/globals';
import { compile } from '../../src/compile/compile.js';
import { mergePlan } from '../../src/work/merge.js';
import { plan } from '../../src/work/plan.js';
import { runUnit } from '../../src/work/run-unit.js';
import { planStatus } from '../../src/work/status.js';
import { type WorkResult, work } from '../../src/work/worker.js';
import { damage } from '../support/damage.js';
import { listening } from '../support/listening.js';
import { root, temporaryFolder } from '../support/paths.js';
import { planned, snapshot, writeWindows } from '../support/plans.js';
import { type S3Server, startS3 } from '../support/s3-server.js';
import { until } from '../support/until.js';

jest.setTimeout(180_000);

const folder = temporaryFolder();
const at = (name: string): string => join(folder, name);
const ids = writeWindows(at('ids.jsonl'));
const recipe = { bits: [8, 2], embeddingBits: 'keep' } as const;
const fresh = 's3://plans/fresh';
const done = 's3://plans/done';
const workers: ChildProcess[] = [];
let server: S3Server;
let places = 0;

beforeAll(async () => {
  server = await startS3(at('store'), ['plans']);
  Object.assign(process.env, server.environment);
  await plan({ ...planned(ids, recipe), output: fresh });
  await compile({ ...planned(ids, recipe), output: at('compiled') });
});
afterEach(() => {
  server.fault = () => undefined;
  for (const each of workers.splice(0)) each.kill('SIGKILL');
});
afterAll(async () => {
  await server.close();
  rmSync(folder, { recursive: true });
});

/** A worker's own folder. */
const place = (): string => at(`worker-${places++}`);

/** Copies a plan in the store. */
function copyOf(from: string): string {
  const to = `s3://plans/copy-${places++}`;
  const path = (address: string): string => join(at('store'), address.slice('s3://'.length));
  cpSync(path(from), path(to), { recursive: true });
  return to;
}

const run = (address: string, more: object = {}): Promise<WorkResult> =>
  work({ plan: address, workDir: place(), threads: 2, pollSeconds: 0.1, ...more });

const merged = async (address: string): Promise<unknown> => {
  const output = place();
  await mergePlan({ plan: address, output, workDir: place(), threads: 2 });
  return snapshot(output);
};

type Child = ChildProcessByStdio<null, Readable, Readable>;

interface Started {
  readonly process: ChildProcess;
  readonly ended: Promise<{ readonly code: number | null; readonly ran: readonly string[]; readonly stderr: string }>;
}

function startWorker(address: string, ...more: readonly string[]): Started {
  const args = [join(root, 'dist/src/cli/main.js'), 'worker', address, '--threads', '1', '--poll', '0.1', '--json'];
  const env = { ...process.env };
  const stdio = ['ignore', 'pipe', 'pipe'] as const;
  const child = spawn(process.execPath, [...args, '--work-dir', place(), ...more], { env, stdio: [...stdio] }) as Child;
  workers.push(child);
  let [stdout, stderr] = ['', ''];
  child.stdout.on('data', (text) => (stdout += text));
  child.stderr.on('data', (text) => (stderr += text));
  const ranBy = (): readonly string[] => (stdout === '' ? [] : (JSON.parse(stdout) as WorkResult).ran.map(({ unit }) => unit));
  const ended = new Promise<Awaited<Started['ended']>>((resolve) =>
    child.once('close', (code) => resolve({ code, ran: code === 0 ? ranBy() : [], stderr })),
  );
  return { process: child, ended };
}

describe('a plan on an object store', () => {
  it('is run by workers on other machines, one of them killed, and merges into the set that compile writes', async () => {
    cpSync(join(at('store'), 'plans/fresh'), join(at('store'), 'plans/done'), { recursive: true });
    const killed = startWorker(done);
    const { runningUnits } = await until('a claim', async () => {
      const status = await planStatus({ plan: done });
      return status.running > 0 && status;
    });
    killed.process.kill('SIGKILL');
    await killed.ended;
    const before = (await planStatus({ plan: done })).done;
    const ends = await Promise.all([startWorker(done).ended, startWorker(done).ended]);
    expect(ends.map(({ code }) => code)).toEqual([0, 0]);
    const ran = ends.flatMap((end) => end.ran);
    expect(new Set(ran).size).toBe(ran.length);
    const status = await planStatus({ plan: done });
    expect(status).toMatchObject({ done: status.total - 1, running: 0, failed: 0 });
    expect(ran.length + before).toBe(status.done);
    expect(ran).toContain(runningUnits[0]?.unit);
    expect(await merged(done)).toEqual(snapshot(at('compiled')));
  });
});
