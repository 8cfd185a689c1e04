import { describe, expect, it } from '@jest/globals';
import { constantOf, numbersOf, scalarOf } from '../../src/analysis/constants.js';
import { type Attribute, float, int, ints, string, tensor } from '../../src/onnx/ir/attribute.js';
import { float32s, lazyTensor, tensorOf } from '../../src/onnx/ir/tensor.js';
import { GraphBuilder } from '../../src/onnx/rewrite/builder.js';

const b = new GraphBuilder();
const node = (attributes: Readonly<Record<string, Attribute>>) => b.op('Constant', [], attributes);

describe('constants', () => {
  it.each([
    ['value', tensor(float32s(Float32Array.of(1, 2))), [1, 2]],
    ['value_float', float(2.5), [2.5]],
    ['value_floats', { kind: 'floats', value: [1, 2] } as Attribute, [1, 2]],
    ['value_int', int(-3), [-3]],
    ['value_ints', ints([1, -2]), [1, -2]],
  ])('are read from Constant nodes with %s', (name, attribute, numbers) => {
    expect(numbersOf(node({ [name]: attribute }))).toEqual(numbers);
  });

  it('have one storage however often they are asked for', () => {
    const value = node({ value_ints: ints([1]) });
    expect(constantOf(value)?.storage).toBe(constantOf(value)?.storage);
  });

  it('are absent for text, computed values and inputs', () => {
    expect(constantOf(node({ value_string: string('a') }))).toBeUndefined();
    expect(constantOf(b.op('Neg', [b.scalar(1)]))).toBeUndefined();
    expect(constantOf(b.input('x', 'float32', [1]))).toBeUndefined();
    expect(constantOf(undefined)).toBeUndefined();
  });

  it.each([
    [0x3c00, 1],
    [0xc000, -2],
    [0x0001, 2 ** -24],
    [0x7c00, Number.POSITIVE_INFINITY],
    [0x7e00, Number.NaN],
  ])('decode float16 %#', (bits, value) => {
    expect(scalarOf(b.constant(tensorOf('float16', [], Uint16Array.of(bits))))).toBe(value);
  });

  it('decode bfloat16 and booleans', () => {
    expect(numbersOf(b.constant(tensorOf('bfloat16', [2], Uint16Array.of(0x3f80, 0xc000))))).toEqual([1, -2]);
    expect(numbersOf(b.constant(tensorOf('bool', [2], Uint8Array.of(1, 0))))).toEqual([1, 0]);
  });

  it('are not read when they are large', () => {
    const weight = lazyTensor('float32', [100, 100], () => {
      throw new Error('read');
    });
    expect(numbersOf(b.constant(weight))).toBeUndefined();
    expect(scalarOf(b.integers([1, 2]))).toBeUndefined();
  });
});
