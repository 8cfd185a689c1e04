/** Plans on an object store: workers that share nothing but its address, killed ones, damaged objects, connections that break. */
import { type ChildProcess, type ChildProcessByStdio, spawn } from 'node:child_process';
import { cpSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import type { Readable } from 'node:stream';
import { afterAll, afterEach, beforeAll, describe, expect, it, jest } from '@jest/globals';
import { mergeCommand } from '../../src/cli/commands/merge.js';
import { planCommand } from '../../src/cli/commands/plan.js';
import { statusCommand } from '../../src/cli/commands/status.js';
import { workerCommand } from '../../src/cli/commands/worker.js';
import { compile } from '../../src/compile/compile.js';
import { silentContext } from '../../src/log.js';
import { emitPlan } from '../../src/work/emit/emit.js';
import { mergePlan } from '../../src/work/merge.js';
import { plan } from '../../src/work/plan.js';
import { runUnit } from '../../src/work/run-unit.js';
import { planStatus } from '../../src/work/status.js';
import { openStore } from '../../src/work/store/open-store.js';
import { type WorkResult, work } from '../../src/work/worker.js';
import { runHere } from '../support/command-line.js';
import { damage } from '../support/damage.js';
import { jobCheck, jobsOf } from '../support/kubernetes.js';
import { listening } from '../support/listening.js';
import { root, temporaryFolder } from '../support/paths.js';
import { planned, snapshot, writeWindows } from '../support/plans.js';
import { type S3Server, startS3 } from '../support/s3-server.js';
import { redisPath, redisServer } from '../support/servers.js';
import { mistral } from '../support/stories.js';
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
  const ranBy = (): readonly string[] =>
    stdout === '' ? [] : (JSON.parse(stdout) as WorkResult).ran.map(({ unit }) => unit);
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

/** Path of an object of a plan on the disk of the server. */
const fileOf = (address: string, key: string): string =>
  server.fileOf('plans', `${address.slice('s3://plans/'.length)}/${key}`);

/** Path of the first result of a unit there. */
function resultOf(address: string, unit: string): string {
  const { files } = JSON.parse(
    readFileSync(fileOf(address, `units/${unit}/done.json`), 'utf8'),
  ) as WorkResult['ran'][0];
  return fileOf(address, `objects/${files[0]?.sha256}`);
}

describe('an object that is not as it was written', () => {
  it('is noticed by its size or when it is brought, said, and made again to the same bytes', async () => {
    const address = copyOf(done);
    const torn = resultOf(address, 'capture-2');
    const flipped = resultOf(address, 'solve-layers.1.down-in');
    const whole = [torn, flipped].map((path) => readFileSync(path));
    damage(torn, 'half');
    damage(flipped, 'a bit in the middle');
    damage(fileOf(address, 'units/capture-random/done.json'), 'a bit in the middle');
    const context = listening();
    const first = await work({ plan: address, workDir: place(), threads: 2 }, context);
    expect(first.ran.map(({ unit }) => unit).sort()).toEqual(['capture-2', 'capture-random']);
    expect(context.said.filter((text) => text.includes('[damaged-file]'))).toHaveLength(2);
    // Nobody but the merge reads a solution.
    await expect(merged(address)).rejects.toMatchObject({
      code: 'plan-open',
      message: expect.stringContaining('solve-layers.1.down-in'),
    });
    expect((await run(address)).ran.map(({ unit }) => unit)).toEqual(['solve-layers.1.down-in']);
    expect([torn, flipped].map((path, which) => readFileSync(path).equals(whole[which] as Buffer))).toEqual([
      true,
      true,
    ]);
    expect(await merged(address)).toEqual(snapshot(at('compiled')));
  });

  it('of the model is an error, and is written again by the plan', async () => {
    const address = copyOf(fresh);
    const { files } = JSON.parse(readFileSync(fileOf(address, 'plan.json'), 'utf8')) as {
      readonly files: readonly { readonly path: string; readonly sha256: string }[];
    };
    const { sha256 } = files.find(({ path }) => path.endsWith('.jsonl')) ?? { sha256: '' };
    damage(fileOf(address, `objects/${sha256}`), 'a bit in the middle');
    await expect(run(address)).rejects.toMatchObject({ code: 'damaged-file' });
    await plan({ ...planned(ids, recipe), output: address, overwrite: true });
    expect((await run(address, { once: true })).ran).toHaveLength(1);
  });
});

describe('workers of an object store', () => {
  it('may run the same unit at once', async () => {
    const address = copyOf(fresh);
    const results = await Promise.all(
      [1, 2].map(() => runUnit(address, 'capture-1', { threads: 1, workDir: place() })),
    );
    const [first, second] = results.map(({ files }) => files.map(({ path, sha256 }) => [path, sha256]));
    expect(first).toEqual(second);
    expect((await planStatus({ plan: address })).done).toBe(1);
  });

  it('go on where connections break and answers are lost', async () => {
    const address = copyOf(fresh);
    let requests = 0;
    const cut = new Set<string>();
    server.fault = ({ method, url = '', headers }) => {
      requests++;
      if (requests % 9 === 4) return 'refused';
      if (method === 'PUT' && requests % 9 === 7) return 'unanswered';
      if (method !== 'GET' || !url.includes('/objects/') || headers.range !== undefined || cut.has(url))
        return undefined;
      cut.add(url);
      return 'cut';
    };
    const { ran, done: finished, units } = await run(address);
    expect([ran.length, finished]).toEqual([units, units]);
    expect(cut.size).toBeGreaterThan(0);
    expect(await merged(address)).toEqual(snapshot(at('compiled')));
  });
});

describe('jobs of a plan on an object store', () => {
  it('for Kubernetes share nothing but its address and a secret', async () => {
    const { text } = await emitPlan({ plan: fresh, for: 'k8s', workers: 2, secret: 'keys' });
    const jobs = jobsOf(text);
    expect(jobs.map(jobCheck())).toEqual([null]);
    const { containers, volumes } = jobs[0]?.spec.template.spec ?? {};
    expect(containers?.[0]?.args.slice(0, 4)).toEqual(['worker', fresh, '--unit', '$(JOB_COMPLETION_INDEX)/2']);
    expect(containers?.[0]?.args).toEqual(expect.arrayContaining(['--retry', '--work-dir']));
    expect(containers?.[0]?.envFrom).toEqual([{ secretRef: { name: 'keys', optional: true } }]);
    expect(volumes).toEqual([{ name: 'plan', emptyDir: {} }]);
  });

  it('for Slurm name it, and for GitHub are refused', async () => {
    const { text } = await emitPlan({ plan: `${fresh}/`, for: 'slurm', workers: 2 });
    expect(text).toContain(`worker ${fresh} --unit`);
    expect(text).toContain(`merge ${fresh} -o fresh-set`);
    await expect(emitPlan({ plan: fresh, for: 'github' })).rejects.toMatchObject({ code: 'bad-usage', at: fresh });
  });
});

(redisPath === undefined ? it.skip : it)('a queue hands out units of a plan on an object store', async () => {
  const redis = await redisServer(at('redis'));
  await redis.start();
  const address = copyOf(fresh);
  const { code, ran, stderr } = await startWorker(address, '--queue', redis.url).ended.finally(redis.stop);
  const status = await planStatus({ plan: address });
  expect({ code, stderr, ran: ran.length }).toEqual({ code: 0, stderr: expect.anything(), ran: status.total - 1 });
  expect(status).toMatchObject({ done: status.total - 1, running: 0, lostUnits: [] });
});

describe('a plan in a place where there is one', () => {
  it('is the same, refused, or takes its place', async () => {
    const address = copyOf(done);
    const { total } = await planStatus({ plan: address });
    await plan({ ...planned(ids, recipe), output: address });
    expect((await planStatus({ plan: address })).done).toBe(total - 1);
    const other = { ...planned(ids, recipe), shards: 2, output: address };
    await expect(plan(other)).rejects.toMatchObject({ code: 'output-exists' });
    const store = await openStore(address, { log: silentContext().log, workDir: place() });
    expect(await store.isCurrent()).toBe(true);
    await plan({ ...other, overwrite: true });
    expect(await store.isCurrent()).toBe(false);
    await store.close();
    expect(await planStatus({ plan: address })).toMatchObject({ total: total - 1, done: 0 });
  });
});

describe('an object store that cannot be used', () => {
  const commands = [planCommand, workerCommand, statusCommand, mergeCommand];
  const refused = async (
    args: readonly string[],
    variables: Readonly<Record<string, string>> = {},
  ): Promise<string> => {
    const before = { ...process.env };
    Object.assign(process.env, variables);
    try {
      const { code, stdout, stderr } = await runHere(args, commands);
      expect({ code, stdout, lines: stderr.trimEnd().split('\n').length }).toEqual({ code: 2, stdout: '', lines: 1 });
      return stderr;
    } finally {
      process.env = before;
    }
  };

  it.each<readonly [string, readonly string[], Readonly<Record<string, string>>, RegExp]>([
    ['no bucket', ['status', 's3://none/plan'], {}, /no bucket none \[store\] at s3:\/\/none\/plan; check the address/],
    ['no plan', ['worker', 's3://plans/nothing'], {}, /no plan.json at this address \[plan\]/],
    ['no address', ['worker', 's3://'], {}, /s3:\/\/BUCKET\/PREFIX.* \[bad-usage\] at plan/],
    ['nobody', ['merge', fresh], { AWS_ACCESS_KEY_ID: '' }, /no credentials.*AWS_ACCESS_KEY_ID.*\[store\]/],
    ['an unknown user', ['worker', fresh], { AWS_ACCESS_KEY_ID: 'nobody' }, /does not let this user.*\[store\]/],
    [
      'no server',
      ['status', fresh],
      { AWS_ENDPOINT_URL_S3: 'http://127.0.0.1:1' },
      /does not answer.*ECONNREFUSED.*\[store\]/,
    ],
    [
      'a work folder',
      ['plan', mistral, '-o', 's3://plans/x', '--preset', 'data-free', '--work', 'w'],
      {},
      /\[bad-usage\] at --work/,
    ],
    [
      'no bucket for a plan',
      ['plan', mistral, '-o', 's3://none/x', '--preset', 'data-free'],
      {},
      /no bucket none \[store\]/,
    ],
  ])('%s is one sentence with a code', async (_, args, variables, sentence) => {
    expect(await refused([...args, '--quiet'], variables)).toMatch(sentence);
    expect(readdirSync(at('store'))).toEqual(['plans']);
  });

  it('by a user who may only read is one too, and no plan is left', async () => {
    server.fault = ({ method }) => (method === 'GET' ? undefined : 'denied');
    const model = ['plan', mistral, '-o', 's3://plans/denied', '--preset', 'data-free', '--quiet'];
    expect(await refused(model)).toMatch(/does not let this user read and write there \(AccessDenied\) \[store\]/);
    server.fault = () => undefined;
    expect(await refused(['status', 's3://plans/denied'])).toContain('[plan]');
    expect(await refused(['worker', fresh, '--unit', 'none', '--work-dir', place(), '--quiet'])).toContain('[plan]');
  });
});
