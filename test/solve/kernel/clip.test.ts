/** The search for clip ratios against the definition in float64: no pair of the coarse grid errs less than the one that is found. */
import { readFileSync } from 'node:fs';
import { afterAll, describe, expect, it } from '@jest/globals';
import { KernelPool } from '../../../src/kernels/pool.js';
import type { Ranges } from '../../../src/quant/grid.js';
import { type ClipOptions, clipGroup, ROUNDED } from '../../../src/solve/kernel/clip.js';
import { parentBits } from '../../../src/solve/kernel/options.js';
import { solveGroup } from '../../../src/solve/kernel/solve.js';
import { fixture } from '../../support/paths.js';
import { encode, minMaxGrid, slice } from './reference.js';

const floatsOf = (name: string): Float32Array =>
  new Float32Array(new Uint8Array(readFileSync(fixture(`solver/${name}`))).buffer);
const gram = floatsOf('gram.f32');
const weights = floatsOf('weights.f32');
const [rows, cols] = [12, 84];
const pool = new KernelPool(2);
afterAll(() => pool.close());

async function clipped(options: ClipOptions): Promise<Ranges> {
  const [found] = await clipGroup(pool, [{ name: 'w', rows, weights }], cols, gram, options);
  return found as Ranges;
}

/** Σ_r λ_r d_r H_uu d_rᵀ of block u of a row that is rounded between β · min and γ · max. */
function errorOf(options: ClipOptions, row: number, u: number, beta: number, gamma: number): number {
  const { bits, block, lambda } = options;
  const start = u * block;
  const w = [...weights.subarray(row * cols + start, row * cols + Math.min(cols, start + block))];
  const parent = parentBits(bits);
  const ends = [Math.fround(Math.min(...w) * beta), Math.fround(Math.max(...w) * gamma)];
  const { scale, zero } = minMaxGrid(ends, { ...options, decode: 'tied' }, parent);
  let sum = 0;
  for (const r of bits) {
    const step = 2 ** (parent - r);
    const middle = options.slice === 'prefix' ? (step - 1) / 2 : 0;
    const left = w.map((value) => {
      const code = slice(encode(value, scale, zero, parent), parent, r, options.slice);
      return value - scale * (step * code + middle - zero);
    });
    for (let i = 0; i < left.length; i++)
      for (let j = 0; j < left.length; j++)
        sum += (lambda[r] ?? 0) * (left[i] ?? 0) * (left[j] ?? 0) * (gram[(start + i) * cols + start + j] as number);
  }
  return sum;
}

const COARSE = [1, 0.9, 0.8, 0.7, 0.6, 0.5, 0.4, 0.3];
const level = { 8: 1, 4: 1, 2: 1 };

describe('clip ratios', () => {
  it.each([
    ['paper slices', { bits: [8, 4, 2], slice: 'paper', lambda: level }],
    ['the smallest slice alone', { bits: [8, 4, 2], slice: 'paper', lambda: { 8: 0, 4: 0, 2: 1 } }],
    ['extra precision', { bits: [8, 4, 2], slice: 'extra', lambda: level }],
    ['prefixes', { bits: [8, 4, 2], slice: 'prefix', lambda: level }],
    ['one precision', { bits: [3], slice: 'prefix', lambda: { 3: 1 } }],
    ['a symmetric grid', { bits: [8, 4, 2], slice: 'paper', lambda: level, symmetric: true }],
  ] as const)('err least: %s', async (_, changes) => {
    const options: ClipOptions = { block: 32, symmetric: false, ...changes };
    const { low, high } = await clipped(options);
    const [found, plain] = [{ sum: 0 }, { sum: 0 }];
    for (const [at, beta] of low.entries()) {
      const gamma = high[at] as number;
      const error = errorOf(options, Math.floor(at / 3), at % 3, beta, gamma);
      const others = COARSE.flatMap((b) =>
        (options.symmetric ? [b] : COARSE).map((g) => errorOf(options, Math.floor(at / 3), at % 3, b, g)),
      );
      // A float32 error on the edge between two codes may choose the other.
      expect(error).toBeLessThanOrEqual(1.001 * Math.min(...others));
      found.sum += error;
      plain.sum += others[0] as number;
    }
    expect(found.sum).toBeLessThan(0.95 * plain.sum);
  });

  it('are those that the solver rounds on', async () => {
    const options: ClipOptions = { bits: [8, 4, 2], block: 32, slice: 'paper', symmetric: false, lambda: level };
    const { low, high } = await clipped(options);
    const item = { name: 'w', rows, weights };
    const [solved] = await solveGroup(pool, [item], cols, gram, { ...options, ...ROUNDED, decode: 'tied', damping: 1 });
    for (const [at, scale] of (solved?.parent.scale ?? []).entries()) {
      const first = Math.floor(at / 3) * cols + (at % 3) * 32;
      const w = weights.subarray(first, first + Math.min(32, cols - (at % 3) * 32));
      const width = Math.max(...w) * (high[at] as number) - Math.min(...w) * (low[at] as number);
      expect(scale / (width / 255)).toBeCloseTo(1, 5);
    }
  });

  it('need a precision that counts', async () => {
    const options: ClipOptions = { bits: [8, 2], block: 32, slice: 'paper', symmetric: false, lambda: { 8: 0, 2: 0 } };
    await expect(clipped(options)).rejects.toThrow(/no precision has a weight/);
  });
});
