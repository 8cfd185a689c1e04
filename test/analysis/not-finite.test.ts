import { describe, expect, it } from '@jest/globals';
import { firstNotFinite } from '../../src/analysis/not-finite.js';
import { tensorOf } from '../../src/onnx/ir/tensor.js';

const CASES = [
  { dtype: 'float32', make: Float32Array, values: [NaN, Infinity, -Infinity], most: 3.4e38 },
  { dtype: 'float64', make: Float64Array, values: [NaN, Infinity, -Infinity], most: 1.7e308 },
  { dtype: 'float16', make: Uint16Array, values: [0x7e00, 0x7c00, 0xfc00, 0x7c01], most: 0xfbff },
  { dtype: 'bfloat16', make: Uint16Array, values: [0x7fc0, 0x7f80, 0xff80, 0xffff], most: 0xff7f },
] as const;

describe.each(CASES)('in $dtype', ({ dtype, make, values, most }) => {
  it('the first number that is not finite is found wherever it is', () => {
    for (const value of values) {
      for (const at of [0, 1, 2, 7, 12]) {
        const data = new make(13).fill(most);
        data[at] = value;
        expect(firstNotFinite(tensorOf(dtype, [13], data))).toBe(at);
        data[12] = value;
        expect(firstNotFinite(tensorOf(dtype, [13], data))).toBe(at);
      }
    }
  });

  it('the largest numbers are finite, and bytes may lie anywhere', () => {
    const data = new make(9).fill(most);
    expect(firstNotFinite(tensorOf(dtype, [9], data))).toBeUndefined();
    const moved = new Uint8Array(data.byteLength + 1);
    moved.set(new Uint8Array(data.buffer), 1);
    expect(firstNotFinite(tensorOf(dtype, [9], moved.subarray(1)))).toBeUndefined();
  });

  it('is found behind the first piece', () => {
    const count = (9 << 20) / make.BYTES_PER_ELEMENT;
    const data = new make(count);
    data[count - 2] = values[0];
    expect(firstNotFinite(tensorOf(dtype, [count], data))).toBe(count - 2);
  });
});

describe('other types', () => {
  it('are left alone', () => {
    expect(firstNotFinite(tensorOf('int32', [1], Int32Array.of(0x7f800000)))).toBeUndefined();
  });
});
