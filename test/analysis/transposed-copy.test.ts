import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import type { Weight } from '../../src/analysis/projection.js';
import { isTransposedCopy } from '../../src/analysis/transposed-copy.js';
import type { Tensor } from '../../src/onnx/ir/tensor.js';
import { lazyTensor, tensorOf } from '../../src/onnx/ir/tensor.js';
import { GraphBuilder } from '../../src/onnx/rewrite/builder.js';

const weight = (tensor: Tensor, layout: Weight['layout']): Weight => ({
  source: new GraphBuilder().constant(tensor),
  tensor,
  layout,
});

/** A matrix of 16-bit patterns, and its transpose. */
const pair = (rows: number, columns: number, bits: readonly number[]): readonly [Uint16Array, Uint16Array] => {
  const at = (row: number, column: number): number => bits[(row * columns + column) % bits.length] ?? 0;
  const straight = Uint16Array.from({ length: rows * columns }, (_, i) => at(Math.floor(i / columns), i % columns));
  const turned = Uint16Array.from({ length: rows * columns }, (_, i) => at(i % rows, Math.floor(i / rows)));
  return [straight, turned];
};

describe('isTransposedCopy', () => {
  it('finds copies and single differences in any layout', () => {
    const sizes = fc.tuple(fc.integer({ min: 1, max: 9 }), fc.integer({ min: 1, max: 9 }));
    const cases = fc.tuple(sizes, fc.array(fc.integer({ min: 0, max: 65535 }), { minLength: 1 }), fc.nat());
    fc.assert(
      fc.property(cases, ([[rows, columns], bits, pick]) => {
        const [straight, turned] = pair(rows, columns, bits);
        const table = weight(tensorOf('float16', [rows, columns], straight), 'NK');
        expect(isTransposedCopy(table, weight(tensorOf('float16', [columns, rows], turned), 'KN'))).toBe(true);
        expect(isTransposedCopy(table, weight(tensorOf('float16', [rows, columns], straight.slice()), 'NK'))).toBe(
          true,
        );
        const changed = turned.slice();
        changed[pick % changed.length] = (changed[pick % changed.length] ?? 0) ^ 1;
        expect(isTransposedCopy(table, weight(tensorOf('float16', [columns, rows], changed), 'KN'))).toBe(false);
      }),
    );
  });

  it('refuses other types and shapes without reading', () => {
    const unread = (shape: readonly number[], dtype: 'float32' | 'float16'): Tensor =>
      lazyTensor(dtype, shape, () => {
        throw new Error('read');
      });
    const table = weight(unread([6, 4], 'float32'), 'NK');
    expect(isTransposedCopy(table, weight(unread([4, 5], 'float32'), 'KN'))).toBe(false);
    expect(isTransposedCopy(table, weight(unread([4, 5], 'float16'), 'KN'))).toBe(false);
    expect(isTransposedCopy(table, weight(unread([4, 6], 'float32'), 'NK'))).toBe(false);
  });

  it('finds float16 values again in float32, and one that float16 cannot hold', () => {
    const halves = Uint16Array.from([0x3c00, 0x4000, 0x4200, 0xc400, 0x0001, 0x7bff]);
    const values = Float32Array.from([1, -4, 2, 2 ** -24, 3, 65504]);
    const table = weight(tensorOf('float16', [3, 2], halves), 'NK');
    const head = (data: Float32Array): Weight => weight(tensorOf('float32', [2, 3], data), 'KN');
    const turned = Float32Array.from([1, 3, 2 ** -24, 2, -4, 65504]);
    expect(isTransposedCopy(table, head(turned))).toBe(true);
    expect(isTransposedCopy(head(turned), table)).toBe(true);
    expect(isTransposedCopy(table, head(values))).toBe(false);
    const near = turned.slice();
    near[5] = 65503;
    expect(isTransposedCopy(table, head(near))).toBe(false);
  });

  it('reads in pieces, and a pair only once', () => {
    let [largest, reads] = [0, 0];
    const rows = 40_000;
    const data = Float32Array.from({ length: rows * 128 }, (_, i) => i);
    const turned = new Float32Array(rows * 128);
    for (let row = 0; row < rows; row++) {
      for (let column = 0; column < 128; column++) turned[column * rows + row] = data[row * 128 + column] ?? 0;
    }
    const counted = (values: Float32Array, shape: readonly number[]): Tensor =>
      lazyTensor('float32', shape, (start, end) => {
        reads++;
        largest = Math.max(largest, end - start);
        return new Uint8Array(values.buffer, start, end - start);
      });
    const [table, head] = [weight(counted(data, [rows, 128]), 'NK'), weight(counted(turned, [128, rows]), 'KN')];
    expect(isTransposedCopy(table, head)).toBe(true);
    expect(largest).toBeLessThanOrEqual(8 << 20);
    const before = reads;
    expect(isTransposedCopy(table, head)).toBe(true);
    expect(reads).toBe(before);
  });
});
