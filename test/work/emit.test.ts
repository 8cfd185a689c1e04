/** Jobs of a plan for Kubernetes, Slurm and GitHub: valid by the schemas of these, safe with any name, and run to the same set. */
import { spawnSync } from 'node:child_process';
import { copyFileSync, existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join, relative } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { compile } from '../../src/compile/index.js';
import { commentText } from '../../src/work/emit/quote.js';
import { MOST_FAILURES, saveFailure } from '../../src/work/failures.js';
import { emitPlan, plan, readPlan } from '../../src/work/index.js';
import { lintWorkflows } from '../support/actionlint.js';
import { runChild } from '../support/command-line.js';
import { jobCheck, jobsOf } from '../support/kubernetes.js';
import { fixture, temporaryFolder } from '../support/paths.js';
import { runSlurm } from '../support/slurm.js';
import { heldWindows, mistral, writeIds } from '../support/stories.js';
import { runWorkflow, workflowOf } from '../support/workflow.js';

const folder = temporaryFolder();
afterAll(() => rmSync(folder, { recursive: true }));

/** A name that would do something where it is not quoted. */
const NAME = `a plan's "$(touch pwned)" \`touch pwned\` \${{ github.token }} $HOME`;
const base = join(folder, 'models');
const planned = join(base, NAME);
const expected = join(folder, 'expected');

beforeAll(async () => {
  mkdirSync(base);
  const model = join(base, 'model.onnx');
  copyFileSync(mistral, model);
  for (const name of ['config.json']) copyFileSync(fixture(`models/mistral-656k/${name}`), join(base, name));
  const ids = writeIds(
    join(base, 'ids.jsonl'),
    heldWindows(8).map((window) => window.slice(0, 64)),
  );
  const recipe = { method: 'gptq', bits: [8, 4], rounds: 1, sweeps: 0, tokens: 256 } as const;
  const input = { model, recipe, text: { ids }, shards: 2, threads: 1 } as const;
  await plan({ ...input, output: planned });
  await compile({ ...input, output: expected });
}, 120_000);

/** Every file of a set but its report, which has times. */
const filesOf = (set: string): Readonly<Record<string, string>> =>
  Object.fromEntries(
    readdirSync(set)
      .filter((name) => !name.endsWith('report.json'))
      .sort()
      .map((name) => [name, readFileSync(join(set, name)).toString('base64')]),
  );

/** A unit that an earlier run gave up: jobs try it again. */
function failThrice(plan: string): void {
  for (let times = 0; times < MOST_FAILURES; times++) saveFailure(plan, 'capture-1', new Error('once'), 'earlier-1');
}

const textFor = async (engine: 'k8s' | 'slurm' | 'github'): Promise<string> =>
  (await emitPlan({ plan: planned, for: engine, workers: 2 })).text;

describe('jobs for Kubernetes', () => {
  const documents = async () => jobsOf(await textFor('k8s'));

  it('are Jobs by the published schema, which refuses what is none', async () => {
    const check = jobCheck();
    const jobs = await documents();
    expect(jobs.map(check)).toEqual([null, null]);
    expect(check({ ...jobs[0], spec: { ...jobs[0]?.spec, completion: 2 } })).not.toBeNull();
  });

  it('run each share in a pod, and merge behind a worker that waits for all', async () => {
    const [workers, merge] = await documents();
    const [worker] = workers?.spec.template.spec.containers ?? [];
    const kubernetes = (text: string): string => text.replaceAll('$$', '$');
    const path = `/data/${NAME}`;
    expect(workers?.spec.completions).toBe(2);
    expect(worker?.args.slice(0, 4)).toEqual(['worker', expect.anything(), '--unit', '$(JOB_COMPLETION_INDEX)/2']);
    expect(kubernetes(worker?.args[1] ?? '')).toBe(path);
    expect([worker?.args, merge?.spec.template.spec.initContainers?.[0]?.args]).toEqual([
      expect.arrayContaining(['--retry']),
      expect.arrayContaining(['--retry']),
    ]);
    expect(worker?.args[1]).not.toMatch(/(^|[^$])(\$\$)*\$\(/);
    const { memoryBytes } = readPlan(planned).options;
    const mebibytes = (text = ''): number => 2 ** 20 * Number(/^(\d+)Mi$/.exec(text)?.[1]);
    const requested = mebibytes(worker?.resources.requests['memory']);
    expect(requested - memoryBytes).toBeLessThan(2 ** 20);
    expect(requested).toBeGreaterThanOrEqual(memoryBytes);
    expect(mebibytes(worker?.resources.limits['memory'])).toBeGreaterThanOrEqual(1.1 * memoryBytes);
    const { initContainers, containers } = merge?.spec.template.spec ?? {};
    expect(initContainers?.[0]?.args.map(kubernetes).slice(0, 2)).toEqual(['worker', path]);
    expect(containers?.[0]?.args.map(kubernetes).slice(0, 4)).toEqual(['merge', path, '-o', `${path}-set`]);
  });
});

describe('jobs for Slurm', () => {
  it('are an array for each phase and a job that merges, and write the set of compile', async () => {
    const script = join(folder, 'jobs.sh');
    await emitPlan({ plan: planned, for: 'slurm', workers: 2, threads: 1, output: script });
    failThrice(planned);
    expect(spawnSync('bash', ['-n', script], { encoding: 'utf8' })).toMatchObject({ status: 0, stderr: '' });
    const jobs = runSlurm(script, ['--partition=long'], join(folder));
    expect(jobs.map((job) => job.arguments)).toEqual([
      ['--parsable', '--partition=long'],
      ['--parsable', '--dependency=afterok:100', '--kill-on-invalid-dep=yes', '--partition=long'],
      ['--parsable', '--dependency=afterok:102', '--kill-on-invalid-dep=yes', '--partition=long'],
    ]);
    expect(jobs.map((job) => /^#SBATCH --array=(.*)$/m.exec(job.script)?.[1])).toEqual(['0-1', '0-1', undefined]);
    for (const job of jobs) expect(job.script).toMatch(/^#SBATCH --mem=\d+M$/m);
    expect(filesOf(`${planned}-set`)).toEqual(filesOf(expected));
    expect(existsSync(join(folder, 'pwned'))).toBe(false);
  }, 120_000);
});

describe('a workflow for GitHub', () => {
  const emitted = (): string => {
    const { code, stdout, stderr } = runChild(
      ['emit', relative(base, planned), '--for', 'github', '--workers', '2', '--threads', '1'],
      base,
    );
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
    return stdout;
  };

  it('is accepted by actionlint, which refuses what is none', () => {
    const text = emitted();
    const [found, inBroken] = lintWorkflows([text, text.replace('matrix.units', 'matrix.unit')]);
    expect(found).toEqual([]);
    expect(inBroken?.map(({ kind }) => kind)).toEqual(['expression']);
  });

  it('hands results from job to job, and ends with the set of compile', () => {
    const workflow = workflowOf(emitted());
    const repository = join(folder, 'repository');
    mkdirSync(join(repository, NAME), { recursive: true });
    for (const name of ['model.onnx', 'config.json', 'ids.jsonl'])
      copyFileSync(join(base, name), join(repository, name));
    copyFileSync(join(planned, 'plan.json'), join(repository, NAME, 'plan.json'));
    failThrice(join(repository, NAME));
    const { artifacts } = runWorkflow(workflow, repository, join(folder, 'runner'));
    expect(Object.keys(workflow.jobs)).toEqual(['phase-1', 'phase-2', 'merge']);
    expect(filesOf(join(artifacts, 'nested-set'))).toEqual(filesOf(expected));
  }, 120_000);

  it('is refused for a plan that is not below the current folder', () => {
    const { code, stderr } = runChild(['emit', planned, '--for', 'github'], join(folder, 'expected'));
    expect({ code, stderr }).toEqual({ code: 2, stderr: expect.stringContaining('[bad-usage]') });
  });
});

it('a plan without units has one worker, which finds nothing to do', async () => {
  const output = join(base, 'plain');
  await plan({ model: join(base, 'model.onnx'), recipe: { method: 'rtn' }, threads: 1, output });
  for (const engine of ['k8s', 'slurm'] as const) {
    const { text, workers, phases } = await emitPlan({ plan: output, for: engine });
    expect([workers, phases, /Infinity|NaN/.test(text)]).toEqual([1, 0, false]);
  }
});

it('names in comments have no character that ends a line of YAML', () => {
  expect(commentText('a\n\u0085\u2028b')).toBe('"a\\n\\u0085\\u2028b"');
});

it('a file of others is not replaced', async () => {
  const output = join(folder, 'others.yaml');
  writeFileSync(output, 'mine');
  const emit = (overwrite: boolean) => emitPlan({ plan: planned, for: 'k8s', output, overwrite });
  await expect(emit(false)).rejects.toMatchObject({ code: 'output-exists' });
  await emit(true);
  // The tool's own file may be replaced.
  expect((await emit(false)).output).toBe(output);
});
