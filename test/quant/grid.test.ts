import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import {
  blockSpan,
  blocksOf,
  decode,
  encode,
  gridOf,
  minMax,
  type RangeKind,
  roundEven,
} from '../../src/quant/grid.js';
import { oracle, type WeightSample, weightSamples } from './support.js';

interface Oracle {
  readonly rows: number;
  readonly k: number;
  readonly block: number;
  readonly weights: number[];
  readonly cases: { kind: RangeKind; bits: number; scale: number[]; zero: number[]; codes: number[] }[];
}
const numpy = oracle<Oracle>('grid');
const weights = Float32Array.from(numpy.weights);
const blocks = blocksOf(numpy.k, numpy.block);

describe('blocksOf', () => {
  it('counts blocks and the length of the last one', () => {
    expect(blocksOf(40, 16)).toEqual({ k: 40, block: 16, count: 3, tail: 8 });
    expect(blocksOf(64, 32)).toEqual({ k: 64, block: 32, count: 2, tail: 32 });
    expect(blocksOf(40, 128)).toEqual({ k: 40, block: 128, count: 1, tail: 40 });
    expect(blocksOf(40, 'channel')).toEqual({ k: 40, block: 40, count: 1, tail: 40 });
  });

  it.each([
    [0, 16],
    [16, 0],
    [16, 2.5],
    [-4, 2],
  ])('refuses %d columns in blocks of %d', (k, block) => {
    expect(() => blocksOf(k, block)).toThrow(expect.objectContaining({ code: 'bad-usage' }));
  });

  it('covers every weight once', () => {
    const spans = Array.from({ length: 2 * blocks.count }, (_, b) => blockSpan(b, blocks));
    expect(spans.map(({ from, to }) => [from, to])).toEqual([
      [0, 16],
      [16, 32],
      [32, 40],
      [40, 56],
      [56, 72],
      [72, 80],
    ]);
  });
});

describe('grid', () => {
  it.each(numpy.cases.map((c) => [c.kind, c.bits, c] as const))('%s at %i bits agrees with numpy', (kind, bits, c) => {
    const grid = gridOf(minMax(weights, numpy.rows, blocks), kind, bits);
    expect([...grid.scale]).toEqual(c.scale);
    expect([...grid.zero]).toEqual(c.zero);
    expect([...encode(weights, numpy.rows, blocks, grid, bits)]).toEqual(c.codes);
  });

  it.each(['asymmetric', 'symmetric', 'signed'] as const)('%s: an unclipped code is within half a step', (kind) => {
    const check = ({ rows, blocks: shape, weights: w }: WeightSample): void => {
      const grid = gridOf(minMax(w, rows, shape), kind);
      const codes = encode(w, rows, shape, grid);
      decode(codes, rows, shape, grid).forEach((back, i) => {
        const row = Math.floor(i / shape.k);
        const step = Math.abs(grid.scale[row * shape.count + Math.floor((i % shape.k) / shape.block)] ?? NaN);
        // One end of an asymmetric grid, and the short end of a signed one, lie up to a whole step inside the range.
        const allowed = codes[i] === 0 || codes[i] === 255 ? step : step / 2;
        expect(Math.abs(back - (w[i] ?? NaN))).toBeLessThanOrEqual(allowed * (1 + 1e-5));
      });
    };
    fc.assert(fc.property(weightSamples, check));
  });

  it('always has an exact zero', () => {
    fc.assert(
      fc.property(weightSamples, fc.constantFrom<RangeKind>('asymmetric', 'symmetric', 'signed'), (sample, kind) => {
        const grid = gridOf(minMax(sample.weights, sample.rows, sample.blocks), kind);
        const zeros = new Float32Array(sample.weights.length);
        const back = decode(encode(zeros, sample.rows, sample.blocks, grid), sample.rows, sample.blocks, grid);
        expect(back.every((w) => w === 0)).toBe(true);
      }),
    );
  });

  it('widens a one-sided range to hold zero', () => {
    const shape = blocksOf(2, 2);
    const grid = gridOf(minMax(Float32Array.of(1.5, 3, -1.5, -3), 2, shape), 'asymmetric', 2);
    expect([...grid.scale, ...grid.zero]).toEqual([1, 1, 0, 3]);
  });

  it('gives the larger extreme of a signed grid the exact code 0', () => {
    const w = Float32Array.of(-0.5, 2, 0.25, 1, -3, 2, 0, 1);
    const grid = gridOf(minMax(w, 2, blocksOf(4, 4)), 'signed', 2);
    expect([...grid.scale]).toEqual([-1, 1.5]);
    expect([...encode(w, 2, blocksOf(4, 4), grid, 2)]).toEqual([2, 0, 2, 1, 0, 3, 2, 3]);
  });

  it('keeps a positive scale for a block without a range', () => {
    const grid = gridOf(minMax(new Float32Array(8), 2, blocksOf(4, 4)), 'asymmetric');
    expect([...grid.scale, ...grid.zero]).toEqual([2 ** -24, 2 ** -24, 0, 0]);
  });

  it.each([NaN, Infinity, -Infinity])('refuses a weight of %d and names its row', (bad) => {
    const w = Float32Array.of(1, 2, 3, 4, 5, bad);
    expect(() => minMax(w, 2, blocksOf(3, 2))).toThrow(expect.objectContaining({ code: 'not-finite', at: 'row 1' }));
  });

  it('rounds half to even', () => {
    expect([0.5, 1.5, 2.5, -0.5, -1.5, 2.4999, 1e9 + 0.5].map(roundEven)).toEqual([0, 2, 2, 0, -2, 2, 1e9]);
  });
});
