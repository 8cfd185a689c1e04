import { afterAll, describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { loadRows } from '../../src/kernels/load-rows.js';
import { KernelPool } from '../../src/kernels/pool.js';
import type { DType } from '../../src/onnx/ir/dtype.js';

const pool = new KernelPool(2);
afterAll(() => pool.close());

/** The value of float16 bits by the definition of IEEE 754. */
function half(bits: number): number {
  const exponent = (bits >> 10) & 31;
  const fraction = bits & 1023;
  const size = exponent === 0 ? fraction * 2 ** -24 : (1024 + fraction) * 2 ** (exponent - 25);
  return bits & 0x8000 ? -size : size;
}

const finiteHalf = fc.integer({ min: 0, max: 0x7bff }).chain((bits) => fc.constantFrom(bits, bits | 0x8000));
const asBytes = (array: Uint16Array | Float32Array | Float64Array): Uint8Array => new Uint8Array(array.buffer);

describe('loadRows', () => {
  it('reads every finite float16', async () => {
    const bits = Uint16Array.from({ length: 2 * 0x7c00 }, (_, i) => (i >= 0x7c00 ? 0x8000 + i - 0x7c00 : i));
    const rows = await loadRows(pool, {
      name: 'w',
      bytes: asBytes(bits),
      dtype: 'float16',
      layout: 'NK',
      rows: 62,
      cols: 1024,
    });
    expect(rows.findIndex((value, i) => !Object.is(value, half(bits[i] ?? 0)))).toBe(-1);
  });

  it('reads a row range of either layout, for shapes that fill no vector', async () => {
    const shape = fc.record({
      rows: fc.integer({ min: 1, max: 37 }),
      cols: fc.integer({ min: 1, max: 19 }),
      kn: fc.boolean(),
    });
    const property = fc.asyncProperty(
      shape,
      fc.nat(),
      fc.array(finiteHalf, { minLength: 703, maxLength: 703 }),
      async (s, cut, bits) => {
        const source = Uint16Array.from(bits.slice(0, s.rows * s.cols));
        const begin = cut % s.rows;
        const layout = s.kn ? 'KN' : 'NK';
        const read = await loadRows(
          pool,
          { name: 'w', bytes: asBytes(source), dtype: 'float16', layout, rows: s.rows, cols: s.cols },
          begin,
        );
        const index = (n: number, k: number): number => (s.kn ? k * s.rows + n : n * s.cols + k);
        const expected = Array.from({ length: (s.rows - begin) * s.cols }, (_, i) =>
          half(source[index(begin + Math.floor(i / s.cols), i % s.cols)] ?? 0),
        );
        expect([...read]).toEqual(expected.map((value) => value));
      },
    );
    await fc.assert(property, { numRuns: 60 });
  });

  it.each<[DType, Uint8Array]>([
    ['float32', asBytes(Float32Array.of(1.5, -2, 3, 0.25, 5, 6))],
    ['float64', asBytes(Float64Array.of(1.5, -2, 3, 0.25, 5, 6))],
    ['bfloat16', asBytes(Uint16Array.of(0x3fc0, 0xc000, 0x4040, 0x3e80, 0x40a0, 0x40c0))],
  ])('reads %s', async (dtype, bytes) => {
    const rows = await loadRows(pool, { name: 'w', bytes, dtype, layout: 'KN', rows: 2, cols: 3 });
    expect([...rows]).toEqual([1.5, 3, 5, -2, 0.25, 6]);
  });

  it('refuses weights that are not finite, unknown types and wrong sizes', async () => {
    const weight = { name: 'layers.0.up', layout: 'NK' as const, rows: 40, cols: 5 };
    const broken = new Float32Array(200);
    broken[173] = Number.NaN;
    await expect(loadRows(pool, { ...weight, bytes: asBytes(broken), dtype: 'float32' })).rejects.toMatchObject({
      code: 'not-finite',
      at: 'layers.0.up',
      message: expect.stringContaining('outputs 32 to 39'),
    });
    await expect(loadRows(pool, { ...weight, bytes: new Uint8Array(200), dtype: 'int8' })).rejects.toMatchObject({
      code: 'unknown-dtype',
    });
    await expect(loadRows(pool, { ...weight, bytes: new Uint8Array(7), dtype: 'float32' })).rejects.toMatchObject({
      code: 'tensor-size',
    });
  });
});
