/** Corrected weights against the normal equations in float64, and codes solved for goals of their own. */
import { afterAll, describe, expect, it } from '@jest/globals';
import { KernelPool } from '../../../src/kernels/pool.js';
import type { Precision } from '../../../src/quant/precision.js';
import { correctWeights } from '../../../src/solve/kernel/correct.js';
import type { SolveOptions } from '../../../src/solve/kernel/options.js';
import { solveInParts } from '../../../src/solve/kernel/parts.js';
import type { Solved } from '../../../src/solve/kernel/solve.js';
import { noise } from '../../support/decoder.js';
import { quickOptions } from '../../support/solve-options.js';

const [rows, cols, block, tokens] = [20, 84, 32, 300];
const bits: readonly Precision[] = [8, 6, 4, 3, 2];
const weights = noise(rows * cols, 1);
const x = noise(tokens * cols, 2);
/** Inputs behind quantized layers; input 5 is always zero there. */
const moved = noise(tokens * cols, 3).map((value, at) => (at % cols === 5 ? 0 : (x[at] as number) + 0.3 * value));

function product(a: Float32Array, b: Float32Array): Float64Array {
  const out = new Float64Array(cols * cols);
  for (let t = 0; t < tokens; t++)
    for (let i = 0; i < cols; i++)
      for (let j = 0; j < cols; j++)
        out[i * cols + j] =
          (out[i * cols + j] as number) + ((a[t * cols + i] as number) * (b[t * cols + j] as number)) / tokens;
  return out;
}

const gram = product(moved, moved);
const change = product(
  moved,
  x.map((value, at) => value - (moved[at] as number)),
);
const pool = new KernelPool(2);
const single = new KernelPool(1);
afterAll(() => Promise.all([pool.close(), single.close()]));

async function corrected(share: number, damping: number, on = pool, mostCols?: number): Promise<Float32Array> {
  const items = [{ rows, weights }];
  const options = { share, damping, block };
  const unmoved = { gram, change: change.map(() => 0) };
  expect(await correctWeights(on, items, cols, unmoved, options, mostCols)).toEqual([weights]);
  const [found] = await correctWeights(on, items, cols, { gram, change }, options, mostCols);
  return found as Float32Array;
}

/** Σ ‖x w - x̂ ŵ‖² over tokens and rows. */
function errorOf(solution: Float32Array): number {
  let sum = 0;
  for (let n = 0; n < rows; n++)
    for (let t = 0; t < tokens; t++) {
      let difference = 0;
      for (let k = 0; k < cols; k++)
        difference +=
          (x[t * cols + k] as number) * (weights[n * cols + k] as number) -
          (moved[t * cols + k] as number) * (solution[n * cols + k] as number);
      sum += difference ** 2;
    }
  return sum;
}

describe('correctWeights', () => {
  it('solves (Ŵ - W)(Ĥ + damping) = W Δᵀ and leaves the weight of an input that is always zero', async () => {
    const out = await corrected(1, 0.05);
    let mean = 0;
    for (let k = 0; k < cols; k++) mean += (gram[k * cols + k] as number) / (cols - 1);
    for (let n = 0; n < rows; n++)
      for (let j = 0; j < cols; j++) {
        let left = 0.05 * mean * ((out[n * cols + j] as number) - (weights[n * cols + j] as number));
        let right = 0;
        for (let k = 0; k < cols; k++) {
          left += ((out[n * cols + k] as number) - (weights[n * cols + k] as number)) * (gram[k * cols + j] as number);
          right += (weights[n * cols + k] as number) * (change[j * cols + k] ?? 0);
        }
        expect(left).toBeCloseTo(right, 5);
      }
    for (let n = 0; n < rows; n++) expect(out[n * cols + 5]).toBe(weights[n * cols + 5]);
  });

  it('errs less than the weights as they are, and less than half the correction', async () => {
    const [none, half, whole] = [weights, await corrected(0.5, 1e-4), await corrected(1, 1e-4)].map(errorOf);
    expect(half).toBeLessThan(0.9 * (none as number));
    expect(whole).toBeLessThan(half as number);
  });

  it('undoes inputs that have grown, however much', async () => {
    const grown = { gram: product(x, x).map((value) => 9 * value), change: product(x, x).map((value) => -6 * value) };
    const [found] = await correctWeights(pool, [{ rows, weights }], cols, grown, { share: 1, damping: 1e-6, block });
    for (const [at, value] of weights.entries()) expect(found?.[at]).toBeCloseTo(value / 3, 4);
  });

  it('gives the same bytes on one thread, and corrects parts of the columns by themselves', async () => {
    expect(await corrected(1, 0.05, single)).toEqual(await corrected(1, 0.05));
    const parts = await corrected(1, 1e-4, pool, 64);
    expect(errorOf(parts)).toBeLessThan(errorOf(weights));
  });
});

describe('goals of single precisions', () => {
  const options: SolveOptions = { ...quickOptions(block, bits), rounds: 2, sweeps: 2 };
  const solve = async (goals: ReadonlyMap<Precision, Float32Array>, alone?: Precision): Promise<Solved> => {
    const asked = alone === undefined ? options : { ...options, bits: [alone] };
    const [solved] = await solveInParts(pool, [{ name: 'w', rows, weights, goals }], cols, gram, asked);
    return solved as Solved;
  };
  const goal = weights.map((value, at) => value + 0.3 * Math.sin(at));
  const distance = ({ codes, tables }: Solved, r: Precision, to: Float32Array, parent = 8): number => {
    const table = tables.get(r);
    const count = Math.ceil(cols / block);
    return codes.reduce((sum, code, at) => {
      const entry = Math.floor(at / cols) * count + Math.floor((at % cols) / block);
      const level = (table?.scale[entry] ?? 0) * (code >> (parent - r)) + (table?.offset[entry] ?? 0);
      return sum + (level - (to[at] as number)) ** 2;
    }, 0);
  };

  it('changes nothing where the goals are the weights', async () => {
    const plain = await solve(new Map());
    const same = await solve(new Map(bits.map((each) => [each, weights])));
    expect({ ...same, report: undefined }).toEqual({ ...plain, report: undefined });
    expect(same.report.error).toEqual(plain.report.error);
  });

  it('brings int2 nearer to its goal and leaves int8 near the weights', async () => {
    const goals = new Map<Precision, Float32Array>([[2, goal]]);
    const [plain, own] = [await solve(new Map()), await solve(goals)];
    expect(distance(own, 2, goal)).toBeLessThan(0.9 * distance(plain, 2, goal));
    expect(distance(own, 8, weights)).toBeLessThan(0.05 * distance(own, 2, goal));
  });

  it('brings a precision that is solved alone nearer to its goal', async () => {
    const [plain, own] = [await solve(new Map(), 3), await solve(new Map([[3, goal]]), 3)];
    expect(distance(own, 3, goal, 3)).toBeLessThan(0.5 * distance(plain, 3, goal, 3));
  });
});
