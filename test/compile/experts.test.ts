/** Mixtures of experts with one branch per expert: every expert is a block of its layer, and compiled like any other. */
import { rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from '@jest/globals';
import { compile } from '../../src/compile/compile.js';
import { inspect } from '../../src/compile/inspect.js';
import { silentContext } from '../../src/log.js';
import { parseRecipe } from '../../src/recipe/recipe.js';
import { ortRuntime } from '../../src/runtime/ort.js';
import { type HostTensor, integers, withSession } from '../../src/runtime/runtime.js';
import { openSource } from '../../src/source/source.js';
import { COMPILE } from '../support/compile.js';
import { EXPERTS, gathered, routedBlock, type Storage, separate, sliced, split } from '../support/experts.js';
import { distance } from '../support/numeric.js';
import { temporaryFolder } from '../support/paths.js';
import { TOY, toyModel, writeToy } from '../support/toy.js';

const root = temporaryFolder();
afterAll(() => rmSync(root, { recursive: true }));
const context = silentContext();
const text = join(root, 'ids.jsonl');
const line = (seed: number): number[] => Array.from({ length: 32 }, (_, at) => (seed * 11 + at * 7) % TOY.vocabulary);
writeFileSync(text, Array.from({ length: 16 }, (_, seed) => JSON.stringify(line(seed))).join('\n'));

const logits = (path: string): Promise<HostTensor> =>
  withSession(ortRuntime, path, { threads: 1 }, async (session) => {
    return (await session.run({ input_ids: integers(line(3), [1, 32]) })).logits as HostTensor;
  });

const storages: Readonly<Record<string, Storage>> = { separate, gathered, sliced, split };
const modelOf = (name: string): string =>
  writeToy(root, name, toyModel({ block: routedBlock(storages[name] as Storage) }));
const recipeOf = (method: string) => parseRecipe({ method, block: 32, bits: [8, 4] }, 'test');

const REWRITTEN_BY: Readonly<Record<string, readonly string[]>> = {
  separate: [],
  gathered: ['unstack-weights'],
  sliced: ['unstack-weights'],
  split: ['unstack-weights'],
};

describe.each(Object.keys(storages))('experts whose weights are %s', (name) => {
  const model = modelOf(name);

  it('are said by `inspect` to be rewritten where one tensor holds them all', async () => {
    const { passes } = await inspect({ model, recipe: recipeOf('data-free') });
    expect(passes.map((each) => each.name)).toEqual(REWRITTEN_BY[name]);
    for (const { changes } of passes) expect(changes).toBeGreaterThan(0);
  });

  it('are blocks of their layer', () => {
    const { analysis, left } = openSource(model, recipeOf('data-free'));
    expect(analysis.layers).toBe(TOY.layers);
    const ids = [0, 1].flatMap((layer) =>
      Array.from({ length: EXPERTS }, (_, expert) =>
        ['gate', 'up', 'down'].map((role) => `layers.${layer}.${role}${expert === 0 ? '' : `.${expert + 1}`}`),
      ).flat(),
    );
    expect(analysis.projections.map(({ id }) => id)).toEqual([...ids, 'head']);
    const groups = analysis.projections.filter(({ role }) => role === 'gate').map(({ group }) => group);
    expect(new Set(groups).size).toBe(EXPERTS * TOY.layers);
    expect(left.map(({ at, code }) => [at, code])).toEqual([
      ['l0_router', 'no-gated-ffn'],
      ['l1_router', 'no-gated-ffn'],
      ['head', 'lm-head'],
    ]);
  });

  it.each(name === 'separate' || name === 'gathered' ? ['data-free', 'best'] : ['data-free'])(
    'are compiled by %s, the one that nothing reaches too',
    async (method) => {
      const output = join(root, `${name}-${method}`);
      const given = method === 'best' ? { text: { ids: text } } : {};
      const result = await compile({ ...COMPILE, model, output, recipe: recipeOf(method), ...given }, context);
      expect(result.quantized).toBe(3 * EXPERTS * TOY.layers);
      const [original, int8, int4] = [model, join(output, 'm_int8.onnx'), join(output, 'm_int4.onnx')];
      const [exact, near, far] = await Promise.all([original, int8, int4].map(logits));
      const off = (tensor: HostTensor | undefined): number => distance(exact as HostTensor, tensor as HostTensor);
      expect(off(near)).toBeGreaterThan(0);
      expect(off(near)).toBeLessThan(off(far) / 2);
      const probes = result.precisions.map(({ probe }) => probe?.kl ?? Number.NaN);
      expect(probes.every(Number.isFinite)).toBe(true);
      expect(probes[1]).toBeLessThan((probes[0] as number) / 3);
    },
  );
});

it('one stack takes no more room than its matrices', async () => {
  const sizeOf = async (name: string): Promise<number> => {
    const output = join(root, `size-${name}`);
    const recipe = recipeOf('rtn');
    const { files } = await compile({ ...COMPILE, model: join(root, `${name}.onnx`), output, recipe }, context);
    return files.find(({ path }) => path.endsWith('.data'))?.bytes ?? 0;
  };
  expect(await sizeOf('gathered')).toBe(await sizeOf('separate'));
});
