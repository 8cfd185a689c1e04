/** Workers of a queue, as processes, on servers that the test starts: killed workers, servers that go away, what is refused. */
import { type ChildProcess, spawn } from 'node:child_process';
import { chmodSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, it, jest } from '@jest/globals';
import { compile } from '../../src/compile/compile.js';
import { namesIn } from '../../src/files/listed-files.js';
import { silentContext } from '../../src/log.js';
import { factsOf, textOf } from '../../src/work/claim-text.js';
import { mergePlan } from '../../src/work/merge.js';
import { plan } from '../../src/work/plan.js';
import { readPlan } from '../../src/work/plan-file.js';
import { addressOf } from '../../src/work/queue/address.js';
import { openBullQueue } from '../../src/work/queue/bull-queue.js';
import { optional } from '../../src/work/queue/packages.js';
import { UnitProcess } from '../../src/work/queue/unit-process.js';
import type { TakenJob } from '../../src/work/queue/unit-queue.js';
import { planStatus } from '../../src/work/status.js';
import { type WorkResult, work } from '../../src/work/worker.js';
import { root, temporaryFolder } from '../support/paths.js';
import { copyPlan, doneIn, planned, snapshot, writeWindows } from '../support/plans.js';
import { postgresFolder, postgresServer, redisPath, redisServer, type Server } from '../support/servers.js';
import { until } from '../support/until.js';

jest.setTimeout(180_000);

const folder = temporaryFolder();
const at = (name: string): string => join(folder, name);
const ids = writeWindows(at('ids.jsonl'));
const fresh = at('fresh');

beforeAll(async () => {
  // The user of PostgreSQL goes through it.
  chmodSync(folder, 0o755);
  await plan({ ...planned(ids), output: fresh });
  await compile({ ...planned(ids), output: at('compiled') });
});
afterAll(() => rmSync(folder, { recursive: true }));

/** A worker as a process of its own. */
interface Started {
  readonly process: ChildProcess;
  /** Exit code, and what it printed. */
  readonly ended: Promise<{ readonly code: number | null; readonly stdout: string; readonly stderr: string }>;
}

const workers: ChildProcess[] = [];
afterEach(() => {
  for (const each of workers.splice(0)) each.kill('SIGKILL');
});

function startWorker(folder: string, url: string): Started {
  const main = join(root, 'dist/src/cli/main.js');
  const args = [main, 'worker', folder, '--queue', url, '--threads', '1', '--lease', '2', '--poll', '0.1', '--json'];
  const child = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'pipe'] });
  workers.push(child);
  let [stdout, stderr] = ['', ''];
  child.stdout.on('data', (text) => (stdout += text));
  child.stderr.on('data', (text) => (stderr += text));
  const ended = new Promise<Awaited<Started['ended']>>((resolve) =>
    child.once('close', (code) => resolve({ code, stdout, stderr })),
  );
  return { process: child, ended };
}

/** Units that are claimed, and the processes that run them. */
const claimsIn = (plan: string): readonly { readonly unit: string; readonly process: number }[] =>
  namesIn(join(plan, 'claims')).flatMap((name) => {
    const claim = factsOf(textOf(join(plan, 'claims', name)) ?? '');
    return claim === undefined
      ? []
      : [{ unit: name.replace(/\.json$/, ''), process: Number(claim.worker.split('-').at(-1)) }];
  });

/** The first claim of a plan, as soon as there is one. */
const claimed = (plan: string) => until('a claim', () => claimsIn(plan)[0]);

const ranBy = ({ stdout }: { readonly stdout: string }): readonly string[] =>
  (JSON.parse(stdout) as WorkResult).ran.map(({ unit }) => unit);

const SERVERS: readonly (readonly [string, boolean, (folder: string) => Promise<Server>])[] = [
  ['Redis', redisPath !== undefined, redisServer],
  ['PostgreSQL', postgresFolder !== undefined, postgresServer],
];

for (const [name, isHere, open] of SERVERS) {
  (isHere ? describe : describe.skip)(`a plan on BullMQ with ${name}`, () => {
    let server: Server;
    beforeAll(async () => {
      server = await open(at(name));
      await server.start();
    });
    afterAll(() => server.stop());

    it('hands out every unit once, the largest first, and ends a phase behind all of its units', async () => {
      const options = { plan: 'test', classes: ['2MiB', '1MiB'], leaseSeconds: 30, log: silentContext().log };
      const queue = await openBullQueue({ address: addressOf(server.url), ...options });
      const unit = (id: string, memoryClass: string, priority: number) => ({ id, memoryClass, priority });
      const first = [unit('a', '1MiB', 2), unit('b', '2MiB', 3), unit('c', '1MiB', 1)];
      for (const _ of [1, 2]) await queue.fill(1, first);
      // A class that this worker does not hold.
      await queue.fill(2, [unit('d', '4MiB', 1)]);
      const [b, c, a] = [await queue.take(), await queue.take(), await queue.take()];
      expect([b?.unit, c?.unit, a?.unit, await queue.take()]).toEqual(['b', 'c', 'a', undefined]);
      for (const each of [b, c]) await each?.complete();
      await a?.fail(new Error('once'));
      const taken: TakenJob[] = [];
      for (const what of ['the second time of a', 'the end of the phase']) {
        const job = await until(what, () => queue.take());
        taken.push(job);
        await job.complete();
      }
      expect(taken.map((job) => job.unit)).toEqual(['a', undefined]);
      expect(await queue.take()).toBeUndefined();
      await queue.forget();
      await queue.close();
    });

    it('survives a worker that is killed and a server that goes away, and runs no finished unit again', async () => {
      const copy = at(`${name}-plan`);
      copyPlan(fresh, copy);
      const killed = startWorker(copy, server.url);
      await claimed(copy);
      killed.process.kill('SIGKILL');
      await killed.ended;
      const before = Object.keys(doneIn(copy));
      const [first, second] = [startWorker(copy, server.url), startWorker(copy, server.url)];
      await until('another unit that is done', () => Object.keys(doneIn(copy)).length > before.length);
      await server.stop();
      await server.start();
      const ends = await Promise.all([first.ended, second.ended]);
      expect(ends.map(({ code, stderr }) => [code, code === 0 ? '' : stderr])).toEqual([
        [0, ''],
        [0, ''],
      ]);
      const ran = ends.flatMap(ranBy);
      expect([...ran, ...before].sort()).toEqual(Object.keys(doneIn(copy)).sort());
      expect(await planStatus({ plan: copy })).toMatchObject({ done: 9, failed: 0, running: 0 });
      await mergePlan({ plan: copy, output: at(`${name}-set`), threads: 2 });
      expect(snapshot(at(`${name}-set`))).toEqual(snapshot(at('compiled')));
    });
  });
}

(redisPath === undefined ? describe.skip : describe)('a worker of a queue', () => {
  let server: Server;
  beforeAll(async () => {
    server = await redisServer(at('one'));
    await server.start();
  });
  afterAll(() => server.stop());

  it('counts a unit whose process ends as failed, and tries it again', async () => {
    const copy = at('again');
    copyPlan(fresh, copy);
    const worker = startWorker(copy, server.url);
    process.kill((await claimed(copy)).process, 'SIGKILL');
    const { code, stderr } = await worker.ended;
    expect(stderr).toContain('has failed 1 of 3 times: The process of the unit ended with SIGKILL');
    expect({ code, status: await planStatus({ plan: copy }) }).toMatchObject({
      code: 0,
      status: { done: 9, failed: 0 },
    });
  });

  it('takes only units that fit its memory', async () => {
    const copy = at('small');
    copyPlan(fresh, copy);
    const sizes = readPlan(copy).units.map((unit) => unit.memoryBytes);
    const memoryBytes = Math.min(...sizes);
    const fitting = sizes.filter((size) => size <= memoryBytes).length;
    const { ran, left } = await work({ plan: copy, queue: server.url, memoryBytes, threads: 1, pollSeconds: 0.1 });
    expect([ran.length, left.length]).toEqual([fitting, sizes.length - 1 - fitting]);
    expect(left.length).toBeGreaterThan(0);
  });

  it('finishes the unit that it is at when it is told to stop', async () => {
    const copy = at('stopped');
    copyPlan(fresh, copy);
    const worker = startWorker(copy, server.url);
    const { unit } = await claimed(copy);
    worker.process.kill('SIGINT');
    const end = await worker.ended;
    expect([end.code, ranBy(end)]).toEqual([130, expect.arrayContaining([unit])]);
    expect(Object.keys(doneIn(copy)).sort()).toEqual([...ranBy(end)].sort());
    expect((await planStatus({ plan: copy })).running).toBe(0);
    expect(namesIn(join(copy, 'claims'))).toEqual([]);
  });
});

describe('a queue', () => {
  const run = (queue: string, more: object = {}) => work({ plan: fresh, queue, ...more });

  it('is refused where its address is none, where no server answers, and with a share of units', async () => {
    await expect(run('amqp://user:secret@host')).rejects.toMatchObject({ code: 'bad-usage', at: 'queue' });
    await expect(run('redis://127.0.0.1:1', { unit: '1/2' })).rejects.toMatchObject({ code: 'bad-usage', at: 'unit' });
    for (const url of ['redis://user:secret@127.0.0.1:1', 'postgres://user:secret@127.0.0.1:1/name']) {
      const refused = run(url).catch((error: unknown) => error);
      expect(await refused).toMatchObject({ code: 'queue', at: expect.stringContaining('//127.0.0.1:1') });
      expect(String(await refused)).not.toContain('secret');
    }
  });

  it('needs packages that are not installed with this one', async () => {
    await expect(optional('a-package-that-is-not-there')).rejects.toMatchObject({ code: 'queue-package' });
  });
});

describe('the process of units', () => {
  it('tells what is no fault of a unit, and that a unit cannot be run yet', async () => {
    const unused = { saveFailure: async () => 0 };
    const open = (plan: string): UnitProcess =>
      new UnitProcess({ plan, machine: { threads: 1 }, leaseSeconds: 60 }, unused, silentContext());
    const none = open(at('none'));
    expect(await none.run('capture-1', () => undefined)).toMatchObject({ kind: 'stop', error: { code: 'plan' } });
    none.close();
    const own = open(fresh);
    // It needs statistics, which nobody has captured.
    expect(await own.run('solve-layers.0.down-in', () => undefined)).toEqual({ kind: 'open' });
    own.close();
  });
});
