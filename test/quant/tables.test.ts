import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { blocksOf, decode, encode, gridOf, minMax } from '../../src/quant/grid.js';
import { containerBits, PRECISIONS, type Precision } from '../../src/quant/precision.js';
import { codeBits, type SliceKind, sliceCodes } from '../../src/quant/slice.js';
import {
  centre,
  type DecodeKind,
  decodeCentred,
  decodeTable,
  hasOffset,
  tiedTable,
  uncentre,
} from '../../src/quant/tables.js';
import { containerCodes, type Fit, fitTable, SLICE_KINDS } from '../support/fit-tables.js';
import { oracle, weightSamples } from './support.js';

interface GridOracle {
  readonly rows: number;
  readonly k: number;
  readonly block: number;
  readonly weights: number[];
  readonly cases: { codes: number[] }[];
}
interface TableCase {
  readonly slice: SliceKind;
  readonly bits: Precision;
  readonly decode: DecodeKind;
  readonly scale: number[];
  readonly offset: number[];
  readonly error: number;
}
const numpy = oracle<GridOracle>('grid');
const { cases } = oracle<{ cases: TableCase[] }>('tables');
const weights = Float32Array.from(numpy.weights);
const blocks = blocksOf(numpy.k, numpy.block);
const grid = gridOf(minMax(weights, numpy.rows, blocks), 'asymmetric');
const codes = encode(weights, numpy.rows, blocks, grid);

const squaredError = (a: Float32Array, b: Float32Array): number =>
  a.reduce((sum, value, i) => sum + (value - (b[i] ?? NaN)) ** 2, 0);
const largest = (values: Float32Array): number => values.reduce((most, value) => Math.max(most, Math.abs(value)), 0);

/** A random fit over a MinMax parent. */
const fits: fc.Arbitrary<Fit> = fc
  .tuple(
    weightSamples,
    fc.constantFrom('asymmetric' as const, 'symmetric' as const, 'signed' as const),
    fc.constantFrom(...SLICE_KINDS),
    fc.constantFrom(...PRECISIONS),
  )
  .map(([sample, range, slice, bits]) => {
    const made = gridOf(minMax(sample.weights, sample.rows, sample.blocks), range);
    const parent = encode(sample.weights, sample.rows, sample.blocks, made);
    return { weights: sample.weights, codes: parent, blocks: sample.blocks, grid: made, slice, bits };
  });

describe('fitTable', () => {
  it.each(cases.map((c) => [c.decode, c.slice, c.bits, c] as const))(
    '%s, %s at %i bits agrees with numpy',
    (kind, slice, bits, c) => {
      const table = fitTable({ weights, codes, blocks, grid, slice, bits }, kind);
      const close = (ours: Float32Array, theirs: number[]): number[] =>
        // Block 8 is all zeros, so its scale is free: compared through the error below.
        theirs.map((value, b) => (b === 8 ? 0 : Math.abs((ours[b] ?? NaN) - value) / Math.max(Math.abs(value), 1e-3)));
      expect(Math.max(...close(table.scale, c.scale))).toBeLessThan(1e-6);
      expect(Math.max(...close(table.offset, c.offset))).toBeLessThan(1e-5);
      const back = decodeTable(sliceCodes(codes, slice, bits), blocks, table);
      // The norms may differ by that of the float32 rounding of the decoded weights (triangle inequality).
      const rounding = Math.sqrt(weights.length) * largest(weights) * 2 ** -24;
      expect(Math.abs(Math.sqrt(squaredError(back, weights)) - Math.sqrt(c.error))).toBeLessThan(rounding);
    },
  );

  it('is never worse than the tied table, nor a constrained fit than a free one', () => {
    fc.assert(
      fc.property(fits, (fit) => {
        const sliced = sliceCodes(fit.codes, fit.slice, fit.bits);
        const error = (kind: DecodeKind): number =>
          squaredError(decodeTable(sliced, fit.blocks, fitTable(fit, kind)), fit.weights);
        const slack = 1e-9 * (1 + squaredError(fit.weights, new Float32Array(fit.weights.length)));
        expect(error('ab')).toBeLessThanOrEqual(error('tied') + slack);
        expect(error('ab')).toBeLessThanOrEqual(error('mid') + slack);
        expect(error('ab')).toBeLessThanOrEqual(error('signed') + slack);
      }),
    );
  });

  it('keeps the tied scale where one code is all there is, and still hits the mean', () => {
    const w = Float32Array.of(0.9, 1, 0.95, 0.9);
    const one = blocksOf(4, 4);
    const own = { scale: Float32Array.of(0.25), zero: Uint8Array.of(0) };
    const table = fitTable(
      { weights: w, codes: Uint8Array.of(200, 201, 202, 203), blocks: one, grid: own, slice: 'prefix', bits: 2 },
      'ab',
    );
    expect(table.scale[0]).toBe(0.25 * 64);
    expect(decodeTable(Uint8Array.of(3), blocksOf(1, 1), table)[0]).toBeCloseTo(0.9375, 6);
  });

  it('decodes the untouched parent with its own table', () => {
    const table = tiedTable(grid, 'prefix', 8);
    expect(squaredError(decodeTable(codes, blocks, table), decode(codes, numpy.rows, blocks, grid))).toBeLessThan(
      1e-12,
    );
  });

  it('ties `paper` at two bits to the levels 0, 64, 128, 192', () => {
    const own = { scale: Float32Array.of(0.5), zero: Uint8Array.of(100) };
    const levels = decodeTable(Uint8Array.of(0, 1, 2, 3), blocksOf(4, 4), tiedTable(own, 'paper', 2));
    expect([...levels]).toEqual([0, 64, 128, 192].map((q) => 0.5 * (q - 100)));
    const middles = decodeTable(Uint8Array.of(0, 1, 2, 3), blocksOf(4, 4), tiedTable(own, 'prefix', 2));
    expect([...middles]).toEqual([31.5, 95.5, 159.5, 223.5].map((q) => 0.5 * (q - 100)));
  });
});

describe('centre', () => {
  it('decodes containers to the same weights as codes', () => {
    fc.assert(
      fc.property(fits, fc.constantFrom<DecodeKind>('ab', 'mid', 'signed', 'tied'), (fit, kind) => {
        const width = codeBits(fit.slice, fit.bits);
        const table = fitTable(fit, kind);
        const plain = decodeTable(sliceCodes(fit.codes, fit.slice, fit.bits), fit.blocks, table);
        const container = containerCodes(fit.codes, fit.slice, fit.bits);
        const deployed = decodeCentred(container, fit.blocks, centre(table, width), containerBits(width));
        const scale = largest(table.scale) * 2 ** width + largest(table.offset);
        deployed.forEach((value, i) => {
          expect(Math.abs(value - (plain[i] ?? NaN))).toBeLessThanOrEqual(4e-7 * scale + 2 ** -140);
        });
      }),
    );
  });

  it('is undone by uncentre: scales exactly, offsets to rounding', () => {
    fc.assert(
      fc.property(fits, (fit) => {
        const table = fitTable(fit, 'ab');
        const back = uncentre(centre(table, fit.bits), fit.bits);
        expect(back.scale).toEqual(table.scale);
        const size = largest(table.scale) * 2 ** fit.bits + largest(table.offset);
        back.offset.forEach((value, b) => {
          expect(Math.abs(value - (table.offset[b] ?? NaN))).toBeLessThanOrEqual(2e-7 * size + 2 ** -140);
        });
      }),
    );
  });

  it('leaves no offset for `signed`, and one for `ab`', () => {
    const fit: Fit = { weights, codes, blocks, grid, slice: 'paper', bits: 2 };
    expect(hasOffset(centre(fitTable(fit, 'signed'), 2))).toBe(false);
    expect(hasOffset(centre(fitTable(fit, 'ab'), 2))).toBe(true);
  });

  it('aligns codes to the top, so that less precision is a truncation of the container', () => {
    const all = Uint8Array.from({ length: 256 }, (_, q) => q);
    const int3 = containerCodes(all, 'prefix', 3);
    const int4 = containerCodes(all, 'prefix', 4);
    expect([...int3]).toEqual([...all].map((q) => Math.floor(q / 32) * 2));
    expect(int3.every((c, q) => c === ((int4[q] ?? NaN) & 0b1110))).toBe(true);
    expect([...containerCodes(all, 'prefix', 6)]).toEqual([...all].map((q) => Math.floor(q / 4) * 4));
    expect(containerCodes(all, 'extra', 2)[234]).toBe(4 << 1);
  });
});
