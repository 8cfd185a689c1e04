import { describe, expect, it } from '@jest/globals';
import {
  METHOD_NAMES,
  METHODS,
  type MethodName,
  parseRecipe,
  recipeJsonSchema,
  requireText,
} from '../../src/recipe/index.js';
import { codeOf } from '../onnx/proto/support.js';

/** Methods for which `holds` is true, in the order of the table. */
const those = (holds: (method: MethodName) => boolean): readonly MethodName[] => METHOD_NAMES.filter(holds);

/** The recipe of a method with one precision and tied tables, which every method takes. */
const recipeOf = (method: MethodName, more: object = {}): ReturnType<typeof parseRecipe> =>
  parseRecipe({ method, bits: [4], decode: 'tied', ...more });

const accepts = (method: MethodName, more: object): boolean => codeOf(() => recipeOf(method, more)) === undefined;

describe('the table of methods', () => {
  it('has the methods of the published schema, in the same order', () => {
    const schema = recipeJsonSchema() as { properties: { method: { enum: string[]; description: string } } };
    expect(schema.properties.method.enum).toEqual(METHOD_NAMES);
    expect(schema.properties.method.description).toContain('all but data-free, rtn and sliced-minmax need');
  });

  it('decides which methods work without text, and which on statistics alone', () => {
    const runs = (hasText: boolean, isCalibrated: boolean) => (method: MethodName) =>
      codeOf(() => requireText(recipeOf(method), { hasText, isCalibrated })) === undefined;
    expect(those(runs(false, false))).toEqual(['data-free', 'rtn', 'sliced-minmax']);
    expect(those(runs(false, true))).toEqual(['data-free', 'best', 'rtn', 'gptq', 'matgptq', 'sliced-minmax']);
    expect(those(runs(true, true))).toEqual(METHOD_NAMES);
  });

  it('decides what a recipe may combine', () => {
    expect(those((method) => accepts(method, { prefix: {} }))).toEqual(['best', 'gptq']);
    expect(those((method) => accepts(method, { qat: {} }))).toEqual(['qat']);
    expect(those((method) => accepts(method, { train: { learn: ['clip'] } }))).toEqual(['omniquant', 'matquant']);
    expect(those((method) => !accepts(method, { bits: [8, 4] }))).toEqual(['omniquant']);
  });

  it('lets codes learn only where the bits below them can be solved again', () => {
    const distill = { bits: [2], learn: ['tables', 'codes'] };
    expect(those((method) => accepts(method, { decode: 'ab', bits: [8, 2], distill }))).toEqual([
      'data-free',
      'best',
      'gptq',
      'matgptq',
    ]);
  });

  it('gives methods that train the defaults of the field that says how', () => {
    for (const method of METHOD_NAMES) {
      const { train, qat } = recipeOf(method);
      const { trains } = METHODS[method];
      expect([train?.steps, qat?.steps]).toEqual([
        trains === 'train' ? 150 : undefined,
        trains === 'qat' ? 400 : undefined,
      ]);
    }
  });
});
