/** Projections whose groups of outputs have Gram matrices of their own. */
import { afterAll, beforeAll, expect, it } from '@jest/globals';
import { type GroupStatistics, headerOf, statisticsInMemory, triangleIndex } from '../../src/capture/statistics.js';
import { KernelPool } from '../../src/kernels/pool.js';
import type { Solved } from '../../src/solve/kernel/options.js';
import { solveMeasured } from '../../src/solve/solve-measured.js';
import { noise } from '../support/decoder.js';
import { quickOptions } from '../support/solve-options.js';

const [rows, k] = [10, 48];
const options = quickOptions(16);
const weights = noise(rows * k, 1);
const input = { group: 'in', k };

/** Neighbours correlate by a share that is another one in each matrix. */
function gramOf(group: string, share: number): GroupStatistics {
  const gram = new Float64Array((k * (k + 1)) / 2);
  for (let i = 0; i < k; i++) for (let j = i; j < k; j++) gram[triangleIndex(k, i, j)] = 10 * share ** (j - i);
  return { group, k, tokens: 10, gram, sum: new Float64Array(k) };
}

const statisticsOf = (groups: number, shares: Readonly<Record<string, number>>) =>
  statisticsInMemory(
    headerOf({
      model: 'm',
      text: 't',
      windows: 1,
      tokens: 10,
      firstWeight: 1,
      weights: { kind: 'fisher', groups, seed: 0 },
    }),
    new Map(Object.entries(shares).map(([group, share]) => [group, gramOf(group, share)])),
  );

let pool: KernelPool;
beforeAll(() => {
  pool = new KernelPool(1);
});
afterAll(() => pool.close());

/** What an item may have beside its weights. */
interface More {
  readonly goal?: boolean;
  readonly held?: Solved;
}

const goal = noise(rows * k, 2);

/** Some rows under one matrix. */
async function solve(begin: number, end: number, share: number, { goal: hasGoal, held }: More = {}): Promise<Solved> {
  const item = {
    name: 'w',
    rows: end - begin,
    weights: weights.slice(begin * k, end * k),
    ...(hasGoal && { goals: new Map([[2 as const, goal.slice(begin * k, end * k)]]) }),
    ...(held && { held: { bits: 2 as const, codes: held.codes, grid: held.parent } }),
  };
  const [solved] = await solveMeasured(pool, [item], input, statisticsOf(1, { in: share }), options);
  return solved as Solved;
}

const SHARES = [0.2, 0.9, 0.5] as const;
const BOUNDS = [0, 3, 6, 10] as const;

/** All rows by groups, each under its matrix. */
async function apart(more: (at: number) => More): Promise<readonly Solved[]> {
  const solved: Solved[] = [];
  for (const [at, share] of SHARES.entries())
    solved.push(await solve(BOUNDS[at] as number, BOUNDS[at + 1] as number, share, more(at)));
  return solved;
}

/** Codes, grid and tables, of solutions one below another. */
function joined(solved: readonly Solved[]): readonly (readonly number[])[] {
  const columns = ({ codes, parent, tables }: Solved) => [
    codes,
    parent.scale,
    parent.zero,
    ...options.bits.flatMap((bits) => [tables.get(bits)?.scale, tables.get(bits)?.offset]),
  ];
  return columns(solved[0] as Solved).map((_, column) =>
    solved.flatMap((part) => Array.from(columns(part)[column] as Float32Array)),
  );
}

it('solves each group of outputs under its own matrix, goals and held codes as well, and puts them one below another', async () => {
  const several = statisticsOf(3, { in: 0.2, 'w/1-of-3': 0.2, 'w/2-of-3': 0.9, 'w/3-of-3': 0.5 });
  const item = { name: 'w', rows, weights };
  const found = await solveMeasured(pool, [item], input, several, options);
  const parts = await apart(() => ({}));
  expect(joined(found)).toEqual(joined(parts));
  expect(joined(found)).not.toEqual(joined([await solve(0, rows, 0.2)]));
  expect(found[0]?.report.error.get(2)?.after).toBeGreaterThan(0);
  const goals = new Map([[2 as const, goal]]);
  const corrected = await solveMeasured(pool, [{ ...item, goals }], input, several, options);
  expect(joined(corrected)).toEqual(joined(await apart(() => ({ goal: true }))));
  const { codes, parent: grid } = found[0] as Solved;
  const again = await solveMeasured(pool, [{ ...item, held: { bits: 2, codes, grid } }], input, several, options);
  expect(joined(again)).toEqual(joined(await apart((at) => ({ held: parts[at] as Solved }))));
});
