import { afterAll, describe, expect, it } from '@jest/globals';
import type { StoredWeight } from '../../../src/kernels/load-rows.js';
import { KernelPool } from '../../../src/kernels/pool.js';
import type { Precision } from '../../../src/quant/precision.js';
import { solveDataFree } from '../../../src/solve/kernel/data-free.js';
import { type Nested, type Nesting, parentBits } from '../../../src/solve/kernel/options.js';
import { encode, fitBlock, minMaxGrid, noise, slice } from './reference.js';

const pool = new KernelPool(2);
const single = new KernelPool(1);
afterAll(() => Promise.all([pool.close(), single.close()]));

function weightOf(rows: number, cols: number, seed: number): StoredWeight & { values: Float32Array } {
  const draw = noise(seed);
  const values = Float32Array.from({ length: rows * cols }, () => draw() * 0.1 + 0.01);
  return { name: 'w', bytes: new Uint8Array(values.buffer), dtype: 'float32', layout: 'NK', rows, cols, values };
}

/** Block `u` of row `n` of a plane [N, K]. */
const blockOf = (plane: ArrayLike<number>, cols: number, block: number, n: number, u: number): number[] =>
  Array.from({ length: Math.min(block, cols - u * block) }, (_, i) => plane[n * cols + u * block + i] ?? Number.NaN);

function checkBlock(
  w: readonly number[],
  codes: readonly number[],
  at: number,
  result: Nested,
  nesting: Nesting,
  bits: Precision,
): void {
  const grid = minMaxGrid(w, nesting, bits);
  expect(result.parent.scale[at]).toBeCloseTo(grid.scale, 8);
  expect(result.parent.zero[at]).toBe(grid.zero);
  expect(codes).toEqual(w.map((x) => encode(x, grid.scale, grid.zero, bits)));
  for (const [r, table] of result.tables) {
    if (r === bits || nesting.decode === 'tied') continue;
    const cut = codes.map((q) => slice(q, bits, r, nesting.slice));
    const [a, b] = fitBlock(w, cut, r, nesting.decode);
    expect(Math.abs((table.scale[at] ?? Number.NaN) - a)).toBeLessThan(1e-5 * Math.abs(a) + 1e-7);
    expect(Math.abs((table.offset[at] ?? Number.NaN) - b)).toBeLessThan(1e-5 * Math.abs(b) + 1e-6);
  }
}

const base: Nesting = { bits: [8, 6, 4, 3, 2], block: 32, slice: 'prefix', decode: 'ab', symmetric: false };

describe('solveDataFree', () => {
  it.each<[string, Partial<Nesting>, number, number]>([
    ['prefix with scale and offset', {}, 9, 128],
    ['blocks that fill neither a vector nor the row', { block: 18 }, 7, 83],
    ['one block per row', { block: 4096 }, 3, 1500],
    ['the slice of the paper around the middle, symmetric', { slice: 'paper', decode: 'mid', symmetric: true }, 5, 96],
    ['a signed scale', { slice: 'paper', decode: 'signed', symmetric: true }, 5, 96],
    ['an extra level', { slice: 'extra', bits: [8, 2] }, 5, 96],
    ['the tied decode', { decode: 'tied' }, 5, 96],
    ['four bits alone', { bits: [4] }, 5, 96],
    ['without eight bits', { bits: [2, 7, 5] }, 5, 96],
  ])('agrees with plain least squares: %s', async (_, change, rows, cols) => {
    const nesting = { ...base, ...change };
    const weight = weightOf(rows, cols, rows * cols);
    const result = await solveDataFree(pool, weight, nesting);
    const block = Math.min(nesting.block, cols);
    const blocks = Math.ceil(cols / block);
    expect([...result.tables.keys()]).toEqual([...nesting.bits].sort((a, b) => b - a));
    for (let at = 0; at < rows * blocks; at++) {
      const [n, u] = [Math.floor(at / blocks), at % blocks];
      checkBlock(
        blockOf(weight.values, cols, block, n, u),
        blockOf(result.codes, cols, block, n, u),
        at,
        result,
        nesting,
        parentBits(nesting.bits),
      );
    }
  });

  it('ties the low slices to the parent as the paper decodes them, and a prefix to the middle of its codes', async () => {
    const weight = weightOf(1, 32, 5);
    const prefix = await solveDataFree(pool, weight, { ...base, decode: 'tied' });
    const paper = await solveDataFree(pool, weight, { ...base, decode: 'tied', slice: 'paper' });
    const [scale, zero] = [prefix.parent.scale[0] ?? 0, prefix.parent.zero[0] ?? 0];
    expect(prefix.tables.get(2)?.scale[0]).toBe(64 * scale);
    expect(prefix.tables.get(2)?.offset[0]).toBeCloseTo(scale * (31.5 - zero), 7);
    expect(paper.tables.get(2)?.offset[0]).toBeCloseTo(-scale * zero, 7);
    expect(prefix.tables.get(8)?.offset[0]).toBeCloseTo(-scale * zero, 7);
  });

  it('decodes constant and empty blocks exactly', async () => {
    const values = new Float32Array(96).fill(0.25, 32, 64).fill(-3, 64);
    const result = await solveDataFree(pool, { ...weightOf(1, 96, 1), bytes: new Uint8Array(values.buffer) }, base);
    for (const [r, table] of result.tables) {
      for (const [u, expected] of [0, 0.25, -3].entries()) {
        const code = slice(result.codes[u * 32] ?? 0, 8, r, 'prefix');
        expect((table.scale[u] ?? Number.NaN) * code + (table.offset[u] ?? Number.NaN)).toBeCloseTo(expected, 5);
      }
    }
  });

  it('gives the same bytes for any number of threads and for either layout', async () => {
    const weight = weightOf(70, 64, 3);
    const turned = Float32Array.from(
      weight.values,
      (_, i) => weight.values[(i % 70) * 64 + Math.floor(i / 70)] ?? Number.NaN,
    );
    const one = await solveDataFree(single, weight, base);
    expect(await solveDataFree(pool, weight, base)).toEqual(one);
    expect(await solveDataFree(pool, { ...weight, bytes: new Uint8Array(turned.buffer), layout: 'KN' }, base)).toEqual(
      one,
    );
  });

  it('refuses precisions that are none', async () => {
    const weight = weightOf(1, 32, 1);
    await expect(solveDataFree(pool, weight, { ...base, bits: [] })).rejects.toMatchObject({ code: 'bad-usage' });
    await expect(solveDataFree(pool, weight, { ...base, bits: [4, 4] })).rejects.toMatchObject({ code: 'bad-usage' });
    await expect(solveDataFree(pool, weight, { ...base, block: 0 })).rejects.toMatchObject({ code: 'bad-usage' });
  });
});
