import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { float16ToFloat32 } from '../../src/onnx/ir/half.js';
import { compressTable, decodeColumn, decompressTable, encodeColumn } from '../../src/quant/compress.js';
import { oracle } from './support.js';

interface Case {
  readonly signed: boolean;
  readonly values: number[];
  readonly supers: number[];
  readonly codes: number[];
}
const { cases } = oracle<{ cases: Case[] }>('compress');
const scaleRange = expect.objectContaining({ code: 'scale-range', at: 'layer 3 down' });
const table = (
  scale: number[],
  offset: number[] = scale.map(() => 0),
): { scale: Float32Array; offset: Float32Array } => ({
  scale: Float32Array.from(scale),
  offset: Float32Array.from(offset),
});

describe('c8', () => {
  it.each(cases)('agrees with numpy, signed = $signed', ({ signed, values, supers, codes }) => {
    const column = encodeColumn(Float32Array.from(values), signed);
    expect([...column.supers]).toEqual(supers);
    expect([...column.codes]).toEqual(codes);
  });

  it('is within half a super-scale everywhere, and never clamps', () => {
    const magnitudes = fc.double({ min: -1, max: 1, noNaN: true });
    fc.assert(
      fc.property(
        fc.array(magnitudes, { minLength: 1, maxLength: 70 }),
        fc.integer({ min: -14, max: 8 }),
        (raw, power) => {
          const values = Float32Array.from(raw, (x) => x * 2 ** power);
          for (const signed of [true, false]) {
            const source = signed ? values : values.map(Math.abs);
            const column = encodeColumn(source, signed);
            const units = float16ToFloat32(column.supers);
            decodeColumn(column).forEach((value, i) => {
              const unit = units[Math.floor(i / 16)] ?? NaN;
              expect(Math.abs(value - (source[i] ?? NaN))).toBeLessThanOrEqual(unit * 0.5 * (1 + 1e-6));
            });
            units.forEach((unit, g) => {
              const group = source.slice(16 * g, 16 * g + 16).map(Math.abs);
              const ideal = Math.max(...group) / (signed ? 127 : 255);
              expect(unit).toBeGreaterThanOrEqual(ideal);
              expect(unit).toBeLessThanOrEqual(ideal * (1 + 2 ** -10) + 2 ** -24);
            });
          }
        },
      ),
    );
  });

  it('uses signed scales only when one is negative', () => {
    const plain = compressTable(table([1, 0.5]), 'c8', 'x');
    const turned = compressTable(table([1, -0.5]), 'c8', 'x');
    if (plain.form !== 'c8' || turned.form !== 'c8') throw new Error('asked for c8');
    expect(plain.scale.codes).toBeInstanceOf(Uint8Array);
    expect(turned.scale.codes).toBeInstanceOf(Int8Array);
    expect(Math.abs((decompressTable(turned).scale[1] ?? NaN) + 0.5)).toBeLessThan(1 / 254);
    expect(Math.abs((decompressTable(plain).scale[1] ?? NaN) - 0.5)).toBeLessThan(1 / 510);
  });

  it('keeps the sign of offsets', () => {
    const { offset } = decompressTable(compressTable(table([1, 1], [0.5, -0.25]), 'c8', 'x'));
    expect(Math.abs((offset[0] ?? NaN) - 0.5)).toBeLessThan(1 / 254);
    expect(Math.abs((offset[1] ?? NaN) + 0.25)).toBeLessThan(1 / 254);
  });

  it('decodes zeros and stores a group of zeros', () => {
    const stored = compressTable(table(new Array(20).fill(0), new Array(20).fill(0)), 'c8', 'x');
    expect(decompressTable(stored)).toEqual(table(new Array(20).fill(0)));
  });

  it('is stable: what was decoded is stored as the same values', () => {
    fc.assert(
      fc.property(fc.array(fc.double({ min: 0.01, max: 1, noNaN: true }), { minLength: 1, maxLength: 40 }), (scale) => {
        const offset = scale.map((x, i) => (i % 2 ? x : -x) * 0.3);
        const once = decompressTable(compressTable(table(scale, offset), 'c8', 'x'));
        const twice = decompressTable(compressTable(once, 'c8', 'x'));
        twice.scale.forEach((value, i) => expect(Math.abs(value - (once.scale[i] ?? NaN))).toBeLessThan(0.003));
      }),
    );
  });
});

describe('compressTable', () => {
  it('stores fp16 columns to half a unit in the last place, and no offset column of zeros', () => {
    const stored = compressTable(table([0.1, 0.2], [0.01, -0.02]), 'fp16', 'x');
    const back = decompressTable(stored);
    expect(Math.abs((back.scale[0] ?? NaN) / 0.1 - 1)).toBeLessThan(2 ** -11);
    expect(Math.abs((back.offset[1] ?? NaN) / -0.02 - 1)).toBeLessThan(2 ** -11);
    expect(compressTable(table([0.1]), 'fp16', 'x').offset).toBeUndefined();
    expect(compressTable(table([0.1]), 'c8', 'x').offset).toBeUndefined();
    expect([...decompressTable(compressTable(table([0.1]), 'fp16', 'x')).offset]).toEqual([0]);
  });

  it.each(['fp16', 'c8'] as const)('refuses what float16 cannot carry, in %s', (form) => {
    const store = (scale: number[], offset?: number[]) => (): unknown =>
      compressTable(table(scale, offset), form, 'layer 3 down');
    expect(store([1e-3, 7e4])).toThrow(scaleRange);
    expect(store([1], [-7e4])).toThrow(scaleRange);
    expect(store([NaN])).toThrow(scaleRange);
    expect(store([2 ** -25, 0])).toThrow(scaleRange);
    expect(store([2 ** -23, -(2 ** -21)])).toThrow(scaleRange);
    expect(store([2 ** -20, 2 ** -30])).not.toThrow();
  });

  it.each(['fp16', 'c8'] as const)('keeps the scale of blocks without a range exact, in %s', (form) => {
    const tiny = table([2 ** -24, 2 ** -24]);
    expect(decompressTable(compressTable(tiny, form, 'x'))).toEqual(tiny);
  });
});
