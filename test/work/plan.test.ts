import { existsSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from '@jest/globals';
import type { CompilerError } from '../../src/diagnostics.js';
import { plan } from '../../src/work/plan.js';
import { portable, readPlan } from '../../src/work/plan-file.js';
import { shareOf } from '../../src/work/share.js';
import { temporaryFolder } from '../support/paths.js';
import { planned, writeWindows } from '../support/plans.js';

const root = temporaryFolder();
const ids = writeWindows(join(root, 'ids.jsonl'));
afterAll(() => rmSync(root, { recursive: true }));

const kinds = async (name: string, recipe: object): Promise<readonly string[]> => {
  const { units } = await plan({ ...planned(ids, recipe), output: join(root, name) });
  return units.map(({ id, needs }) => `${id}: ${needs.length}`);
};

describe('a plan', () => {
  it('is the same for the same input, and has the units of the recipe', async () => {
    const [first, second] = [join(root, 'first'), join(root, 'second')];
    const { units, shards } = await plan({ ...planned(ids), output: first });
    await plan({ ...planned(ids), output: second });
    expect(shards).toBe(3);
    expect(readFileSync(join(first, 'plan.json'), 'utf8')).toBe(readFileSync(join(second, 'plan.json'), 'utf8'));
    const captures = ['capture-1', 'capture-2', 'capture-3', 'capture-random'];
    const solves = [0, 1].flatMap((layer) => [`solve-layers.${layer}.ffn-in`, `solve-layers.${layer}.down-in`]);
    expect(units.map(({ id }) => id)).toEqual([...captures, 'table-embedding', ...solves, 'emit']);
    for (const { id, needs, memoryBytes, cost } of units) {
      const before = units.slice(
        0,
        units.findIndex((unit) => unit.id === id),
      );
      const own = id.startsWith('capture') ? [] : id === 'emit' ? before.map((unit) => unit.id) : captures;
      expect(needs).toEqual(own);
      expect(memoryBytes).toBeGreaterThan(2e8);
      expect(cost.seconds).toBeGreaterThan(0);
    }
    expect(units[5]?.of.projections).toEqual(['layers.0.gate', 'layers.0.up']);
  });

  it('has one unit for each stage that goes through the model', async () => {
    const plain = { embeddingBits: 'keep', fillText: false };
    const captures = ['capture-1: 0', 'capture-2: 0', 'capture-3: 0'];
    expect(await kinds('prefix', { ...plain, prefix: {} })).toEqual([...captures, 'prefix: 3', 'emit: 4']);
    expect(await kinds('matquant', { ...plain, method: 'matquant' })).toEqual(['train: 0', 'emit: 1']);
    expect(await kinds('rtn', { ...plain, method: 'rtn' })).toEqual(['emit: 0']);
    const distilled = await kinds('distilled', { ...plain, distill: { bits: [2] } });
    expect(distilled.slice(3)).toEqual([
      ...Array(4).fill(expect.stringMatching(/^solve-.*: 3$/)),
      'distill: 7',
      'emit: 8',
    ]);
    const tuned = await kinds('tuned', { ...plain, train: { learn: ['tables'] } });
    expect(tuned.at(-2)).toBe('tune: 7');
  });

  it('is refused where its largest unit does not fit the memory, with the least that does', async () => {
    const output = join(root, 'small');
    const error = await plan({ ...planned(ids), memoryBytes: 1e8, output }).catch((reason: unknown) => reason);
    expect(error).toMatchObject({ code: 'memory-bound' });
    expect(existsSync(output)).toBe(false);
    const memoryBytes = Number(/needs (\d+)MB/.exec((error as CompilerError).message)?.[1]) * 1e6;
    expect((await plan({ ...planned(ids), memoryBytes, output })).memoryBytes).toBeLessThanOrEqual(memoryBytes);
  });

  it('does not replace another plan unless told so', async () => {
    const output = join(root, 'other');
    await plan({ ...planned(ids), output });
    await plan({ ...planned(ids), output });
    await expect(plan({ ...planned(ids), shards: 2, output })).rejects.toMatchObject({ code: 'output-exists' });
    expect((await plan({ ...planned(ids), shards: 2, overwrite: true, output })).shards).toBe(2);
    expect(readdirSync(output)).toEqual(['plan.json']);
  });

  it('names files beside it relatively, and others by their whole path', () => {
    expect(portable('/a/b/model.onnx', '/a/plan')).toBe('../b/model.onnx');
    expect(portable('/a/plan/text.jsonl', '/a/plan')).toBe('text.jsonl');
    expect(portable('/c/model.onnx', '/a/b/plan')).toBe('/c/model.onnx');
    expect(readPlan(join(root, 'first')).options.text).toEqual({ ids: '../ids.jsonl' });
  });
});

describe('the shares of workers', () => {
  it('are all units together, each once, counted from 0 or from 1', () => {
    const { units } = readPlan(join(root, 'first'));
    const idsOf = (asked: string): readonly string[] => shareOf(units, asked, root).map(({ id }) => id);
    for (const shares of [
      ['0/3', '1/3', '2/3'],
      ['1/3', '2/3', '3/3'],
      ['1/1'],
      ['1/20', ...Array(19).keys()].map((at) => (typeof at === 'string' ? at : `${at + 2}/20`)),
    ])
      expect(shares.flatMap(idsOf).sort()).toEqual(units.map(({ id }) => id).sort());
    expect(idsOf('0/4')).toEqual(idsOf('4/4'));
    expect(idsOf('table-embedding')).toEqual(['table-embedding']);
    expect(() => idsOf('4/3')).toThrow('4/3 is not one of');
    expect(() => idsOf('none')).toThrow('no unit none');
  });
});
