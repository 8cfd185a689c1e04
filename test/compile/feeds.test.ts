/** Models whose inputs are not just ids: compiled and checked where they can be fed, refused before any work where not. */
import { existsSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from '@jest/globals';
import { compile } from '../../src/compile/compile.js';
import { inspect } from '../../src/compile/inspect.js';
import { evaluate } from '../../src/evaluate/evaluate-files.js';
import { silentContext } from '../../src/log.js';
import type { GraphBuilder } from '../../src/onnx/rewrite/builder.js';
import { parseRecipe } from '../../src/recipe/recipe.js';
import { COMPILE } from '../support/compile.js';
import { temporaryFolder } from '../support/paths.js';
import { TOY, type ToyForm, toyModel, writeToy } from '../support/toy.js';

const root = temporaryFolder();
afterAll(() => rmSync(root, { recursive: true }));
const recipe = parseRecipe({ method: 'data-free', block: 32, bits: [8, 4] }, 'test');
const context = silentContext();

const given = (name: string, form: ToyForm): { model: string; output: string } => ({
  model: writeToy(root, name, toyModel(form)),
  output: join(root, name),
});

/** A cache that goes in and comes out without being read. */
const cache =
  (...dims: (string | number)[]) =>
  (b: GraphBuilder): void => {
    for (const name of ['k_cache_0', 'v_cache_0']) b.output(b.input(name, 'float32', dims), `${name}_out`);
  };

const embeds: ToyForm = { start: (b) => b.input('inputs_embeds', 'float32', ['batch', 'sequence', TOY.hidden]) };

describe('inputs beside ids', () => {
  it.each<[string, ToyForm, Record<string, string>]>([
    ['caches of other names', { more: cache('batch', 2, 'past', 16) }, { k_cache_0: 'cache', v_cache_0: 'cache' }],
    ['vectors', embeds, { inputs_embeds: 'vectors' }],
    [
      'vectors and per-layer vectors',
      {
        start: (b) => {
          const side = b.input('per_layer_inputs', 'float32', ['batch', 'sequence', 2, TOY.hidden]);
          const one = b.op('Gather', [side, b.integer(1)], { axis: { kind: 'int', value: 2n } });
          return b.op('Add', [b.input('inputs_embeds', 'float32', ['batch', 'sequence', TOY.hidden]), one]);
        },
      },
      { inputs_embeds: 'vectors', per_layer_inputs: 'vectors' },
    ],
  ])('compiles a model with %s', async (name, form, roles) => {
    const paths = given(name.replaceAll(' ', '-'), form);
    const { inputs, problems } = await inspect({ model: paths.model, recipe }, context);
    expect(problems).toEqual([]);
    expect(Object.fromEntries(inputs.map(({ name, role }) => [name, role]))).toMatchObject(roles);
    const { precisions, calibrationTokens, quantized } = await compile({ ...COMPILE, ...paths, recipe }, context);
    expect(quantized).toBe(6);
    // Statistics and check ran, on made-up tokens.
    expect(calibrationTokens).toBeGreaterThan(1000);
    const [int4, int8] = precisions.map(({ probe }) => probe);
    expect(int8).toMatchObject({ isRandom: true });
    expect(int8?.kl).toBeLessThan(0.1);
    expect(int8?.kl).toBeLessThan((int4?.kl ?? 0) / 3);
  });

  it('refuses text for vectors, and scores ids', async () => {
    const { model, output } = given('embeds-text', embeds);
    const ids = join(root, 'ids.jsonl');
    writeFileSync(ids, '[1, 2, 3, 4, 5, 6]\n');
    await expect(compile({ ...COMPILE, model, output, recipe, text: { ids } }, context)).rejects.toMatchObject({
      code: 'unsupported-model',
      message: expect.stringContaining('inputs_embeds'),
    });
    const text = { files: [ids], tokenizer: 'none', jsonlField: 'text', bos: 'auto' } as const;
    const scored = { reference: model, candidates: [model], window: 8, threads: 1, speed: false };
    await expect(evaluate({ ...scored, text }, context)).rejects.toMatchObject({ code: 'unsupported-model' });
    const { candidates } = await evaluate({ ...scored, text: { ids } }, context);
    expect(candidates[0]).toMatchObject({ kl: 0, positions: 5 });
  });

  it.each<[string, ToyForm, string]>([
    [
      'pictures',
      { more: (b) => b.output(b.op('Flatten', [b.input('pixel_values', 'float32', ['batch', 3, 'h', 'w'])]), 'p') },
      'pixel_values',
    ],
    ['caches of unknown heads', { more: cache('batch', 'heads', 'past', 'width') }, 'k_cache_0'],
    ['a strange number', { more: (b) => b.output(b.input('temperature', 'float32', []), 't') }, 'temperature'],
  ])('refuses %s before any work, and inspect says so', async (name, form, input) => {
    const { model, output } = given(name.replaceAll(' ', '-'), form);
    const { problems, understood } = await inspect({ model, recipe }, context);
    expect(problems[0]).toContain(input);
    expect(understood).toContain('per_layer_inputs');
    let started = false;
    const watching = { ...context, progress: { ...context.progress, update: () => (started = true) } };
    const refused = compile({ ...COMPILE, model, output, recipe }, watching as typeof context);
    await expect(refused).rejects.toMatchObject({ code: 'unsupported-model', message: expect.stringContaining(input) });
    expect(started).toBe(false);
    expect(existsSync(output)).toBe(false);
  });
});
