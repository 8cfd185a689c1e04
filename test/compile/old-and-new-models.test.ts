/** Models at the ends of what exporters write: old operator sets, new IR versions, weights beyond float16. */
import { mkdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from '@jest/globals';
import { type CompileResult, compile } from '../../src/compile/compile.js';
import { inspect } from '../../src/compile/inspect.js';
import { silentContext } from '../../src/log.js';
import { exportModel } from '../../src/onnx/convert/export.js';
import { importModel } from '../../src/onnx/convert/import.js';
import { parseRecipe, presetOf } from '../../src/recipe/recipe.js';
import { slice } from '../../src/set/slice.js';
import { COMPILE } from '../support/compile.js';
import { temporaryFolder } from '../support/paths.js';
import { type ToySpec, toy } from '../support/toy-opset.js';

const root = temporaryFolder();
afterAll(() => rmSync(root, { recursive: true }));

const recipe = parseRecipe({ method: 'data-free', block: 32, bits: [8, 3, 2] }, 'test');
let count = 0;

function written(spec: ToySpec): string {
  const folder = join(root, String(count++));
  mkdirSync(folder);
  return exportModel(toy(spec), join(folder, 'model.onnx')).path;
}

const compiled = (model: string, strict = false): Promise<CompileResult> =>
  compile({ ...COMPILE, model, output: `${model}.set`, recipe, strict }, silentContext());

describe('operator sets', () => {
  it.each([7, 8, 9, 10, 21])('compiles a model at %i', async (opset) => {
    const { quantized, precisions } = await compiled(written({ opset }), true);
    expect(quantized).toBe(6);
    expect(precisions.find(({ bits }) => bits === 8)?.probe?.kl).toBeLessThan(0.02);
  });

  it('says the lowest one that training takes', async () => {
    const model = written({ opset: 10 });
    const trained = parseRecipe(presetOf('paper-matquant-gemma'), 'test');
    await expect(inspect({ model, recipe: trained }, silentContext())).rejects.toMatchObject({
      code: 'unsupported-model',
      message: expect.stringContaining('operator set 11'),
    });
  });
});

describe('IR versions', () => {
  it('takes a version that the runtime does not know, and writes the lowest that fits', async () => {
    const model = written({ irVersion: 20 });
    await compiled(model, true);
    expect(importModel(join(`${model}.set`, 'm_int3.onnx')).irVersion).toBe(10);
    const output = join(`${model}.set`, 'q.onnx');
    const set = join(`${model}.set`, 'm.json');
    const asked = { set, output, standalone: true, slice: 'prefix', format: 'qdq' } as const;
    await slice({ ...asked, bits: 3 }, silentContext());
    expect(importModel(output).irVersion).toBe(10);
    await slice({ ...asked, bits: 2 }, silentContext());
    expect(importModel(output).irVersion).toBe(13);
  });

  it('keeps a low version', async () => {
    const model = written({ irVersion: 7 });
    await compiled(model);
    expect(importModel(join(`${model}.set`, 'm_int8.onnx')).irVersion).toBe(7);
  });
});

describe('weights beyond float16', () => {
  const spike = (name: string, values: Float32Array): Float32Array => (name === '1_up' ? values.with(3, 1e5) : values);
  const tiny = (name: string, values: Float32Array): Float32Array =>
    name === '0_gate' ? values.map((value) => value * 1e-7) : values;

  it.each([
    ['one large weight', spike, 'layers.1.up'],
    ['tiny weights', tiny, 'layers.0.gate'],
  ] as const)('leaves the projection with %s float', async (_, change, id) => {
    const model = written({ change });
    const { quantized, refused } = await compiled(model);
    expect(quantized).toBe(5);
    expect(refused).toContainEqual(expect.objectContaining({ at: id, code: 'weight-range' }));
    await expect(compiled(model, true)).rejects.toMatchObject({ code: 'strict-skipped', at: id });
    const { projections } = await inspect({ model, recipe }, silentContext());
    expect(projections.find((each) => each.id === id)).toMatchObject({ status: 'refused', code: 'weight-range' });
  });
});
