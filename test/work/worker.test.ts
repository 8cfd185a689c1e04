import { cpSync, mkdirSync, readdirSync, readFileSync, rmSync, utimesSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it, jest } from '@jest/globals';
import { compile } from '../../src/compile/compile.js';
import { CompilerError } from '../../src/diagnostics.js';
import { sealedJson } from '../../src/files/seal.js';
import { claimText } from '../../src/work/claim-text.js';
import { mergePlan } from '../../src/work/merge.js';
import { plan } from '../../src/work/plan.js';
import { runUnit } from '../../src/work/run-unit.js';
import { planStatus } from '../../src/work/status.js';
import { UnitRunner } from '../../src/work/unit-runner.js';
import { type WorkResult, work } from '../../src/work/worker.js';
import { damage, filesBelow } from '../support/damage.js';
import { listening } from '../support/listening.js';
import { temporaryFolder } from '../support/paths.js';
import { copyPlan, doneIn, planned, snapshot, writeWindows } from '../support/plans.js';
import { mistral } from '../support/stories.js';

jest.setTimeout(120_000);

const root = temporaryFolder();
const at = (name: string): string => join(root, name);
const ids = writeWindows(at('ids.jsonl'));
const machine = { threads: 2, pollSeconds: 0.05 };
/** As `plan` made it, and with all units done. */
const [fresh, done] = [at('fresh'), at('done')];
let first: WorkResult | undefined;
let folders = 0;

const copyOf = (from: string): string => {
  const folder = at(`plan-${folders++}`);
  copyPlan(from, folder);
  return folder;
};

beforeAll(async () => {
  await plan({ ...planned(ids), output: fresh });
  copyPlan(fresh, done);
  first = await work({ ...machine, plan: done });
});
afterAll(() => {
  jest.restoreAllMocks();
  rmSync(root, { recursive: true });
});

describe('a plan that was run', () => {
  it('merges into the set that compile writes', async () => {
    expect(first).toMatchObject({ done: 9, units: 9, left: [], interrupted: false });
    expect(first?.ran.length).toBe(9);
    expect(first?.ran.every(({ files, peakMemoryBytes }) => files.length > 0 && peakMemoryBytes > 1e7)).toBe(true);
    await compile({ ...planned(ids), output: at('compiled') });
    await mergePlan({ plan: done, output: at('merged'), threads: 2 });
    expect(snapshot(at('merged'))).toEqual(snapshot(at('compiled')));
  });

  it('has nothing left to run, and its status reads only', async () => {
    const before = snapshot(done);
    expect((await work({ ...machine, plan: done })).ran).toEqual([]);
    const status = await planStatus({ plan: done });
    expect(status).toMatchObject({ total: 10, done: 9, running: 0, failed: 0, blocked: 0, waiting: 1, secondsLeft: 0 });
    expect(status.kinds.map(({ kind, total }) => [kind, total])).toEqual([
      ['capture', 3],
      ['random', 1],
      ['table', 1],
      ['solve', 4],
      ['emit', 1],
    ]);
    expect(snapshot(done)).toEqual(before);
  });
});

describe('a result that is not as it was written', () => {
  it.each(['a bit in the middle', 'nothing'])(
    'with %s is noticed, said and made again to the same bytes',
    async (how) => {
      const folder = copyOf(done);
      const victims = [/statistics-2-of-3.*\.safetensors$/, /\.solved$/, /done.*capture-random\.json$/];
      const paths = victims.map((pattern) => filesBelow(folder, pattern)[0] as string);
      const contents = paths.map((path) => readFileSync(path));
      for (const path of paths) damage(path, how);
      const context = listening();
      const { ran } = await work({ ...machine, plan: folder }, context);
      expect(ran.length).toBe(3);
      expect(context.said.filter((text) => text.includes('damaged-file')).length).toBeGreaterThanOrEqual(3);
      expect(
        paths.slice(0, 2).map((path) => readFileSync(path).equals(contents[paths.indexOf(path)] as Buffer)),
      ).toEqual([true, true]);
    },
  );

  it('is noticed by whoever reads it when its size and time are those of the whole one', async () => {
    const folder = copyOf(done);
    const [path = ''] = filesBelow(folder, /statistics-2-of-3.*layers.0.ffn.*\.safetensors$/);
    const [whole, state] = [readFileSync(path), JSON.parse(readFileSync(join(folder, 'done/capture-2.json'), 'utf8'))];
    damage(path, 'a bit in the middle');
    const { modified } = state.files.find((file: { path: string }) => path.endsWith(file.path));
    utimesSync(path, modified / 1000, modified / 1000);
    rmSync(join(folder, 'done/solve-layers.0.ffn-in.json'));
    for (const solved of filesBelow(folder, /\.solved$/)) rmSync(solved);
    const context = listening();
    await work({ ...machine, plan: folder }, context);
    expect(readFileSync(path).equals(whole)).toBe(true);
    expect(await planStatus({ plan: folder })).toMatchObject({ done: 9, failed: 0 });
  });
});

describe('workers on one folder', () => {
  it('run every unit once between them, and may run the same one at once', async () => {
    const folder = copyOf(fresh);
    await Promise.all([runUnit(folder, 'capture-1', machine), runUnit(folder, 'capture-1', machine)]);
    const results = await Promise.all(['1/2', '2/2'].map((unit) => work({ ...machine, plan: folder, unit })));
    const ran = results.flatMap((result) => result.ran.map(({ unit }) => unit));
    expect(ran.sort()).toEqual(
      Object.keys(doneIn(done))
        .filter((unit) => unit !== 'capture-1')
        .sort(),
    );
    const [here, there] = [snapshot(join(folder, 'work')), snapshot(join(done, 'work'))];
    expect(here).toEqual(there);
  });

  it('are waited for while they have a claim, which the status shows', async () => {
    const folder = copyOf(fresh);
    mkdirSync(join(folder, 'claims'));
    const facts = { owner: 'mq00000000-1-1.aaaaaaaa', worker: 'elsewhere-1', threads: 3 };
    writeFileSync(join(folder, 'claims/capture-1.json'), claimText(facts));
    const controller = new AbortController();
    const context = listening(controller.signal);
    const info = (text: string): void => {
      context.log.info(text);
      controller.abort();
    };
    const waiting = { ...context, log: { ...context.log, info } };
    const { ran } = await work({ ...machine, plan: folder, unit: 'capture-1' }, waiting);
    expect([ran, context.said]).toEqual([[], ['Waiting for units of other workers.']]);
    const { runningUnits, ...counts } = await planStatus({ plan: folder });
    expect([counts.running, counts.waiting, runningUnits]).toEqual([
      1,
      9,
      [{ unit: 'capture-1', worker: 'elsewhere-1', threads: 3 }],
    ]);
  });

  it('stop behind the unit that they are at, or after one', async () => {
    const folder = copyOf(fresh);
    const once = await work({ ...machine, plan: folder, once: true });
    expect([once.ran.length, once.interrupted]).toEqual([1, false]);
    const controller = new AbortController();
    const context = listening(controller.signal);
    const stopping = { ...context, log: { ...context.log, info: () => controller.abort() } };
    const { ran, interrupted } = await work({ ...machine, plan: folder }, stopping);
    expect([ran.length, interrupted]).toEqual([1, true]);
    expect(Object.keys(doneIn(folder)).length).toBe(2);
    expect(readdirSync(join(folder, 'claims'))).toEqual([]);
  });
});

describe('a unit that fails', () => {
  it('three times is left alone with what needs it; the rest goes on, and the error comes at the end', async () => {
    const folder = copyOf(done);
    for (const unit of ['capture-random', 'solve-layers.1.down-in', 'table-embedding'])
      rmSync(join(folder, `done/${unit}.json`));
    const real = UnitRunner.prototype.run;
    const failing = jest.spyOn(UnitRunner.prototype, 'run').mockImplementation(function (
      this: UnitRunner,
      unit,
      context,
    ) {
      if (unit.id === 'table-embedding') throw new CompilerError('numeric', 'embedding', 'No factor was found');
      return real.call(this, unit, context);
    });
    const run = (more: object = {}): Promise<unknown> => work({ ...machine, plan: folder, ...more });
    await expect(run()).rejects.toMatchObject({ code: 'numeric', at: 'table-embedding' });
    expect(failing.mock.calls.filter(([{ id }]) => id === 'table-embedding').length).toBe(3);
    const status = await planStatus({ plan: folder });
    expect(status).toMatchObject({ done: 8, failed: 1, blocked: 1 });
    expect(status.failedUnits).toMatchObject([
      { unit: 'table-embedding', times: 3, code: 'numeric', blocks: ['emit'] },
    ]);
    await expect(mergePlan({ plan: folder, output: at('never') })).rejects.toMatchObject({ code: 'plan-open' });
    await expect(run()).rejects.toMatchObject({ code: 'numeric' });
    failing.mockRestore();
    // Other shares are none of its business.
    await expect(run({ retry: true, unit: 'capture-1' })).resolves.toMatchObject({ done: 1 });
    expect((await planStatus({ plan: folder })).failed).toBe(1);
    await run({ retry: true });
    expect(await planStatus({ plan: folder })).toMatchObject({ done: 9, failed: 0 });
  });

  it('by a bug ends in an error that is none of the input', async () => {
    const folder = copyOf(done);
    rmSync(join(folder, 'done/table-embedding.json'));
    const failing = jest.spyOn(UnitRunner.prototype, 'run').mockRejectedValue(new TypeError('x is undefined'));
    const error = await work({ ...machine, plan: folder }).catch((reason: unknown) => reason);
    failing.mockRestore();
    expect(error).not.toBeInstanceOf(CompilerError);
    expect(String(error)).toContain('table-embedding: x is undefined (1 unit failed, 0 units blocked)');
  });
});

describe('a plan that does not fit', () => {
  it('is refused by another version', async () => {
    const folder = copyOf(fresh);
    const path = join(folder, 'plan.json');
    const { sha256: _, ...value } = JSON.parse(readFileSync(path, 'utf8')) as Record<string, unknown>;
    writeFileSync(path, sealedJson({ ...value, tool: 'onnx-matquant 9.9.9' }, 1));
    const calls = [
      () => work({ plan: folder }),
      () => mergePlan({ plan: folder, output: at('never') }),
      () => runUnit(folder, 'capture-1'),
    ];
    for (const call of calls)
      await expect(call()).rejects.toMatchObject({ code: 'plan-version', message: expect.stringContaining('9.9.9') });
  });

  it('is refused when it was changed, or is none', async () => {
    const folder = copyOf(fresh);
    damage(join(folder, 'plan.json'), 'a bit in the middle');
    await expect(work({ plan: folder })).rejects.toMatchObject({ code: 'damaged-file' });
    await expect(work({ plan: root })).rejects.toMatchObject({ code: 'plan' });
    for (const none of ['none', 'emit']) await expect(runUnit(done, none)).rejects.toMatchObject({ code: 'plan' });
    expect((await planStatus({ plan: done })).failedUnits).toEqual([]);
  });

  it('is refused when the model or the text is another by now', async () => {
    const [model, text, folder] = [at('model/model.onnx'), at('model/ids.jsonl'), at('model/plan')];
    mkdirSync(at('model'));
    cpSync(mistral, model);
    cpSync(ids, text);
    await plan({ ...planned(text, {}, model), output: folder });
    await work({ ...machine, plan: folder, once: true });
    const changing = jest.spyOn(UnitRunner.prototype, 'run').mockImplementation(async () => {
      writeFileSync(text, '');
      throw new TypeError('x is undefined');
    });
    const wholeText = readFileSync(text);
    await expect(work({ ...machine, plan: folder })).rejects.toMatchObject({ code: 'input-changed', at: text });
    changing.mockRestore();
    writeFileSync(text, wholeText);
    for (const path of [text, model]) {
      const whole = readFileSync(path);
      damage(path, 'a bit in the middle');
      await expect(work({ ...machine, plan: folder })).rejects.toMatchObject({ code: 'input-changed', at: path });
      writeFileSync(path, whole);
    }
    expect(Object.keys(doneIn(folder)).length).toBe(1);
    expect((await planStatus({ plan: folder })).failedUnits).toEqual([]);
  });

  it('gets no results of a plan that was replaced meanwhile', async () => {
    const folder = copyOf(fresh);
    const real = UnitRunner.prototype.run;
    const replacing = jest.spyOn(UnitRunner.prototype, 'run').mockImplementation(async function (
      this: UnitRunner,
      ...args
    ) {
      await plan({ ...planned(ids), shards: 2, overwrite: true, output: folder });
      return real.apply(this, args);
    });
    const replaced = work({ ...machine, plan: folder });
    await expect(replaced).rejects.toMatchObject({ code: 'input-changed', at: join(folder, 'plan.json') });
    replacing.mockRestore();
    expect(doneIn(folder)).toEqual({});
    expect((await planStatus({ plan: folder })).failedUnits).toEqual([]);
  });

  it('leaves units to others that take more than the memory of a worker', async () => {
    const small = work({ ...machine, plan: fresh, memoryBytes: 1e8 });
    await expect(small).rejects.toMatchObject({ code: 'memory-bound', message: expect.stringContaining('needs 2') });
    const unit = runUnit(fresh, 'capture-1', { memoryBytes: 1e8 });
    await expect(unit).rejects.toMatchObject({ code: 'memory-bound', at: 'capture-1' });
    const folder = copyOf(fresh);
    const { units, memoryBytes: most } = await plan({ ...planned(ids), output: folder });
    const { ran, left } = await work({ ...machine, plan: folder, memoryBytes: most - 1 }, listening());
    expect(left).toEqual(units.filter((each) => each.memoryBytes === most && each.kind !== 'emit').map(({ id }) => id));
    expect(ran.length + left.length).toBe(9);
  });
});
