import { describe, expect, it } from '@jest/globals';
import {
  FACTS,
  FORMS,
  type FormName,
  factOf,
  formsOf,
  obstacleOf,
  oldestRuntimes,
  parseRecipe,
  RUNTIMES,
  type RuntimeName,
} from '../../src/recipe/index.js';

describe('the table of runtimes', () => {
  it('has one fact, with its measurement, for every runtime and form', () => {
    for (const runtime of Object.keys(RUNTIMES) as RuntimeName[])
      for (const form of Object.keys(FORMS) as FormName[]) expect(factOf(runtime, form).measured).not.toBe('');
    expect(FACTS.length).toBe(Object.keys(RUNTIMES).length * Object.keys(FORMS).length);
  });

  it('says the oldest version by precision: the newest of what the forms of a model need', () => {
    const plain = oldestRuntimes(parseRecipe({ bits: [8, 6, 4, 3, 2] }));
    const versions = Object.entries(plain).map(([name, { onnxruntime }]) => [name, onnxruntime]);
    expect(Object.fromEntries(versions)).toEqual({
      int2: '1.24',
      int3: '1.21',
      int4: '1.21',
      int6: '1.22',
      int8: '1.22',
    });
    expect(oldestRuntimes(parseRecipe({ bits: [4] }), { half: true })['int4']?.onnxruntime).toBe('1.22');
    const packed = oldestRuntimes(parseRecipe({ bits: [4], embeddingBits: 4 }));
    expect(packed['int4']).toMatchObject({ onnxruntime: '1.23', wasm: null });
  });

  it('lets every packed embedding into a browser, and refuses 2 bits of it for WebGPU alone', () => {
    const asked = { bits: [4], embeddingBits: 2 } as const;
    expect(obstacleOf('browser', formsOf(parseRecipe({ ...asked, target: 'browser' }), 4))).toBeUndefined();
    expect(obstacleOf('webgpu', formsOf(parseRecipe({ ...asked, target: 'webgpu' }), 4))?.form).toBe('lookup-2');
  });

  it('refuses planes and 2 bits for OpenVINO, not self-contained models of 4', () => {
    const recipe = parseRecipe({ bits: [4, 2], target: 'openvino' });
    expect(obstacleOf('openvino', formsOf(recipe, 4))?.form).toBe('joins');
    expect(obstacleOf('openvino', formsOf(recipe, 4, { nested: false }))).toBeUndefined();
    expect(obstacleOf('openvino', formsOf(recipe, 2, { nested: false }))?.form).toBe('product-2');
  });
});
