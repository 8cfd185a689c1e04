import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { PRECISIONS, type Precision } from '../../src/quant/precision.js';
import {
  codeBits,
  decodeConstants,
  levelCount,
  type SliceKind,
  sliceCode,
  sliceCodes,
  sliceTable,
} from '../../src/quant/slice.js';
import { SLICE_KINDS } from '../support/fit-tables.js';
import { oracle } from './support.js';

interface Oracle {
  readonly tables: Record<SliceKind, Record<Precision, number[]>>;
  readonly halfToEvenDifferences: Record<Precision, number>;
}
const expected = oracle<Oracle>('slice');
const everyCode = Uint8Array.from({ length: 256 }, (_, q) => q);
const cases = SLICE_KINDS.flatMap((kind) => PRECISIONS.map((bits) => [kind, bits] as const));

describe('slice', () => {
  it.each(cases)('%s at %i bits agrees with the definition on all 256 codes', (kind, bits) => {
    expect([...sliceTable(kind, bits)]).toEqual(expected.tables[kind][bits]);
    expect([...sliceCodes(everyCode, kind, bits)]).toEqual(expected.tables[kind][bits]);
    expect(new Set(sliceTable(kind, bits)).size).toBe(levelCount(kind, bits));
  });

  it('reproduces the worked examples of the paper at two bits', () => {
    expect([53, 234, 240].map((q) => sliceCode(q, 'paper', 2))).toEqual([1, 3, 3]);
    expect(sliceCode(234, 'paper', 2) * decodeConstants('paper', 2).step).toBe(192);
    expect(sliceCode(234, 'extra', 2) * decodeConstants('extra', 2).step).toBe(256);
    expect([53, 63, 64, 234].map((q) => sliceCode(q, 'prefix', 2))).toEqual([0, 0, 1, 3]);
  });

  it('gives the codes of `paper` at two bits 32, 64, 64 and 96 parent codes', () => {
    const counts = [0, 0, 0, 0];
    for (const code of sliceTable('paper', 2)) counts[code] = (counts[code] ?? 0) + 1;
    expect(counts).toEqual([32, 64, 64, 96]);
  });

  it('is not associative for `paper`: 8→4→2 differs from 8→2 on 24 codes', () => {
    const twice = (q: number): number => Math.min((sliceCode(q, 'paper', 4) + 2) >> 2, 3);
    const differing = [...everyCode].filter((q) => twice(q) !== sliceCode(q, 'paper', 2));
    const range = (from: number): number[] => Array.from({ length: 8 }, (_, i) => from + i);
    expect(differing).toEqual([...range(24), ...range(88), ...range(152)]);
  });

  it.each([
    [2, 2],
    [3, 4],
    [4, 8],
    [6, 32],
  ] as const)('rounds half up: at %i bits half-to-even would differ on %i codes', (bits, count) => {
    const halfToEven = (x: number): number => {
      const below = Math.floor(x);
      return x - below === 0.5 ? below + (below % 2) : Math.round(x);
    };
    const even = (q: number): number => Math.min(halfToEven(q / 2 ** (8 - bits)), 2 ** bits - 1);
    expect([...everyCode].filter((q) => even(q) !== sliceCode(q, 'paper', bits))).toHaveLength(count);
    expect(expected.halfToEvenDifferences[bits]).toBe(count);
  });

  it('composes for `prefix`: any way down gives the same code', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 0, max: 255 }),
        fc.constantFrom(...PRECISIONS),
        fc.constantFrom(...PRECISIONS),
        (q, a, b) => {
          const [low, high] = a < b ? [a, b] : [b, a];
          expect(sliceCode(q, 'prefix', high) >> (high - low)).toBe(sliceCode(q, 'prefix', low));
        },
      ),
    );
  });

  it('is not a prefix of bits for `paper`: 96 codes differ at two bits, 120 at four', () => {
    const differing = (bits: Precision): number =>
      everyCode.filter((q) => sliceCode(q, 'paper', bits) !== q >> (8 - bits)).length;
    expect([differing(2), differing(4)]).toEqual([96, 120]);
  });

  it('decodes a prefix at the mean of the parent codes it covers', () => {
    for (const bits of PRECISIONS) {
      const { step, shift } = decodeConstants('prefix', bits);
      for (let code = 0; code < 2 ** bits; code++) {
        const covered = [...everyCode].filter((q) => sliceCode(q, 'prefix', bits) === code);
        const mean = covered.reduce((a, b) => a + b, 0) / covered.length;
        expect(step * code + shift).toBe(mean);
      }
    }
  });

  it('needs one bit more for `extra`, except at eight', () => {
    expect(PRECISIONS.map((bits) => codeBits('extra', bits))).toEqual([3, 4, 5, 6, 7, 8, 8]);
    for (const [kind, bits] of cases)
      expect(Math.max(...sliceTable(kind, bits))).toBeLessThan(2 ** codeBits(kind, bits));
  });
});
