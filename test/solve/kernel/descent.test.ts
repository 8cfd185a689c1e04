import { afterAll, describe, expect, it } from '@jest/globals';
import { KernelPool } from '../../../src/kernels/pool.js';
import type { Precision } from '../../../src/quant/precision.js';
import type { DecodeTable } from '../../../src/quant/tables.js';
import { lambdas, type Solved, type SolveOptions } from '../../../src/solve/kernel/options.js';
import { solveGroup } from '../../../src/solve/kernel/solve.js';
import { quickOptions } from '../../support/solve-options.js';
import { noise, slice } from './reference.js';

interface Row {
  readonly r: Precision;
  readonly levels: readonly Float64Array[];
  readonly image: Float64Array;
  readonly energy: number;
}

/** Three panels of columns, the last one not whole; rows that do not fill the lanes. */
const [rows, cols, block] = [6, 300, 48];
const BLOCKS = Math.ceil(cols / block);
const draw = noise(3);
const weights = Float32Array.from({ length: rows * cols }, () => draw() * 0.05);
const gram = gramOf();

const pool = new KernelPool(1);
afterAll(() => pool.close());

const options: SolveOptions = { ...quickOptions(block, [8, 6, 4, 3, 2]), decode: 'tied', sweeps: 60 };

/** XᵀX / tokens of inputs that depend on their neighbours and on a few common causes. */
function gramOf(): Float32Array {
  const tokens = 400;
  const x = Array.from({ length: tokens }, () => {
    const common = draw();
    let last = 0;
    return Array.from({ length: cols }, () => {
      last = 0.6 * last + draw() + 0.3 * common;
      return last;
    });
  });
  const dot = (i: number, j: number): number => x.reduce((sum, row) => sum + (row[i] ?? 0) * (row[j] ?? 0), 0) / tokens;
  const upper = Array.from({ length: cols }, (_, i) => Array.from({ length: cols }, (_, j) => (j < i ? 0 : dot(i, j))));
  return Float32Array.from({ length: cols * cols }, (_, at) => {
    const [i, j] = [Math.floor(at / cols), at % cols];
    return upper[Math.min(i, j)]?.[Math.max(i, j)] ?? 0;
  });
}

async function solve(changed: Partial<SolveOptions>): Promise<Solved> {
  const [solved] = await solveGroup(pool, [{ name: 'w', rows, weights }], cols, gram, { ...options, ...changed });
  return solved as Solved;
}

/** What each of the 256 codes stands for in one block of a row. */
function levelsOf(solved: Solved, kind: SolveOptions['slice'], r: Precision, n: number, u: number): Float64Array {
  const at = n * BLOCKS + u;
  const { scale, offset } = solved.tables.get(r) as DecodeTable;
  return Float64Array.from({ length: 256 }, (_, q) => (scale[at] ?? 0) * slice(q, 8, r, kind) + (offset[at] ?? 0));
}

/** One row at one precision: levels by block, (w − ŵ_r) H, and (w − ŵ_r) H (w − ŵ_r)ᵀ. */
function rowOf(solved: Solved, kind: SolveOptions['slice'], r: Precision, n: number): Row {
  const levels = Array.from({ length: BLOCKS }, (_, u) => levelsOf(solved, kind, r, n, u));
  const image = new Float64Array(cols);
  const d = Float64Array.from({ length: cols }, (_, k) => {
    const level = levels[Math.floor(k / block)]?.[solved.codes[n * cols + k] as number] as number;
    return (weights[n * cols + k] as number) - level;
  });
  for (let i = 0; i < cols; i++) {
    for (let j = 0; j < cols; j++) image[j] = (image[j] as number) + (d[i] as number) * (gram[i * cols + j] as number);
  }
  return { r, levels, image, energy: d.reduce((sum, value, j) => sum + value * (image[j] as number), 0) };
}

/**
 * The most that the objective can fall by one other code anywhere, any of the 256, against what the objective is per weight;
 * in float64 from the codes and tables alone.
 */
function bestStep(
  solved: Solved,
  { bits, lambda, slice: kind }: SolveOptions,
  choices: (code: number) => readonly number[] = () => ALL,
): number {
  let [gain, total] = [0, 0];
  for (let n = 0; n < rows; n++) {
    const parts = bits.map((r) => rowOf(solved, kind, r, n));
    for (const { r, energy } of parts) total += (lambda[r] as number) * energy;
    for (let k = 0; k < cols; k++) {
      const old = solved.codes[n * cols + k] as number;
      gain = Math.max(gain, gainAt(parts, lambda, k, old, choices(old)));
    }
  }
  return gain / (total / (rows * cols));
}

const ALL: readonly number[] = Array.from({ length: 256 }, (_, q) => q);

function gainAt(
  parts: readonly Row[],
  lambda: SolveOptions['lambda'],
  k: number,
  old: number,
  choices: readonly number[],
): number {
  const change = new Float64Array(256);
  const diagonal = gram[k * cols + k] as number;
  for (const { r, levels, image } of parts) {
    const own = levels[Math.floor(k / block)] as Float64Array;
    for (const q of choices) {
      const step = (own[q] as number) - (own[old] as number);
      change[q] = (change[q] as number) + (lambda[r] as number) * step * (step * diagonal - 2 * (image[k] as number));
    }
  }
  return -Math.min(...change);
}

describe('coordinate descent', () => {
  it.each<[string, Partial<SolveOptions>]>([
    ['prefixes', {}],
    ['prefixes, gradients kept from round to round', { rounds: 60, sweeps: 1 }],
    ['prefixes without int8', { bits: [4, 2], lambda: lambdas([4, 2]) }],
    ['prefixes of 7 and 5 bits', { bits: [8, 7, 5], lambda: lambdas([8, 7, 5]) }],
    ['rounded slices', { slice: 'paper' }],
    ['rounded slices of 7 bits', { slice: 'paper', bits: [8, 7, 2], lambda: lambdas([8, 7, 2]) }],
    ['extra precision', { slice: 'extra' }],
    ['a signed grid', { slice: 'paper', symmetric: true, decode: 'tied' }],
  ])('ends where no other code is better: %s', async (_, changed) => {
    const solved = await solve(changed);
    expect(bestStep(solved, { ...options, ...changed })).toBeLessThan(1e-3);
    const stopped = await solve({ ...changed, rounds: 0 });
    expect(bestStep(stopped, { ...options, ...changed })).toBeGreaterThan(0.1);
  });
});

describe('codes whose leading bits are held', () => {
  const lower: SolveOptions = { ...options, bits: [8, 6, 4, 3], lambda: lambdas([8, 6, 4, 3]) };

  /** Solves below leading bits that are those of another solution, but for every fifth code, which is one off. */
  async function solveHeld(changed: Partial<SolveOptions> = {}): Promise<{ held: Uint8Array; solved: Solved }> {
    const free = await solve({});
    const held = free.codes.map((code, at) => (at % 5 === 0 ? (code < 128 ? code + 64 : code - 64) : code));
    const item = { name: 'w', rows, weights, held: { bits: 2 as const, codes: held, grid: free.parent } };
    const [solved] = await solveGroup(pool, [item], cols, gram, { ...lower, ...changed });
    return { held, solved: solved as Solved };
  }

  it('keep those bits, and below them no other code is better', async () => {
    const { held, solved } = await solveHeld({ sweeps: 600 });
    expect(solved.codes.map((code) => code >> 6)).toEqual(held.map((code) => code >> 6));
    const stopped = (await solveHeld({ rounds: 0 })).solved;
    expect(stopped.codes.map((code) => code >> 6)).toEqual(held.map((code) => code >> 6));
    const within = (code: number): readonly number[] => Array.from({ length: 64 }, (_, at) => (code & 192) + at);
    expect(bestStep(solved, lower, within)).toBeLessThan(1e-3);
    expect(bestStep(stopped, lower, within)).toBeGreaterThan(0.1);
    expect(bestStep(solved, lower)).toBeGreaterThan(0.1);
  });
});

describe('tables after several rounds', () => {
  it.each(['ab', 'mid'] as const)('are the least squares of the codes: %s', async (decode) => {
    const solved = await solve({ decode, rounds: 3, sweeps: 2 });
    for (const r of [6, 4, 3, 2] as const) {
      for (let n = 0; n < rows; n++) {
        const { image, energy } = rowOf(solved, 'prefix', r, n);
        const slopes = new Float64Array(BLOCKS);
        for (let k = 0; k < cols; k++) {
          const u = Math.floor(k / block);
          const x = slice(solved.codes[n * cols + k] as number, 8, r, 'prefix') - (2 ** (r - 1) - 0.5);
          slopes[u] =
            (slopes[u] as number) + (image[k] as number) * x * (solved.tables.get(r)?.scale[n * BLOCKS + u] ?? 0);
        }
        // How the error answers to a larger scale of one block.
        for (const slope of slopes) expect(Math.abs(slope)).toBeLessThan(0.02 * energy);
      }
    }
  });
});
