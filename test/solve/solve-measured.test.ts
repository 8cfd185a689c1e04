/** Projections whose groups of outputs have Gram matrices of their own. */
import { afterAll, beforeAll, expect, it } from '@jest/globals';
import { type GroupStatistics, headerOf, statisticsInMemory, triangleIndex } from '../../src/capture/statistics.js';
import { KernelPool } from '../../src/kernels/pool.js';
import { lambdas, type Solved, type SolveOptions } from '../../src/solve/kernel/options.js';
import { solveMeasured } from '../../src/solve/solve-measured.js';
import { noise } from '../support/decoder.js';

const [rows, k] = [10, 48];
const options: SolveOptions = {
  bits: [8, 4, 2],
  lambda: lambdas([8, 4, 2]),
  block: 16,
  slice: 'prefix',
  decode: 'ab',
  symmetric: false,
  range: 'grid',
  codes: 'gptq',
  damping: 0.01,
  rounds: 1,
  sweeps: 1,
};
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

const solve = async (begin: number, end: number, share: number, held?: Solved): Promise<Solved> => {
  const item = { name: 'w', rows: end - begin, weights: weights.slice(begin * k, end * k) };
  const own = held && { held: { bits: 2 as const, codes: held.codes, grid: held.parent } };
  return (
    await solveMeasured(pool, [{ ...item, ...own }], input, statisticsOf(1, { in: share }), options)
  )[0] as Solved;
};

it('solves each group of outputs under its own matrix, held codes as well, and puts them one below another', async () => {
  const several = statisticsOf(3, { in: 0.2, 'w/1-of-3': 0.2, 'w/2-of-3': 0.9, 'w/3-of-3': 0.5 });
  const item = { name: 'w', rows, weights };
  const [found] = await solveMeasured(pool, [item], input, several, options);
  const bounds = [0, 3, 6, 10];
  const parts = [await solve(0, 3, 0.2), await solve(3, 6, 0.9), await solve(6, 10, 0.5)];
  const columns = ({ codes, parent, tables }: Solved) => [
    codes,
    parent.scale,
    parent.zero,
    ...options.bits.flatMap((bits) => [tables.get(bits)?.scale, tables.get(bits)?.offset]),
  ];
  const joined = (solved: readonly Solved[]): readonly (readonly number[])[] =>
    columns(solved[0] as Solved).map((_, column) =>
      solved.flatMap((part) => Array.from(columns(part)[column] as Float32Array)),
    );
  expect(joined([found as Solved])).toEqual(joined(parts));
  expect(joined([found as Solved])).not.toEqual(joined([await solve(0, rows, 0.2)]));
  const held = { bits: 2 as const, codes: (found as Solved).codes, grid: (found as Solved).parent };
  const [again] = await solveMeasured(pool, [{ ...item, held }], input, several, options);
  const apart: Solved[] = [];
  for (const [at, share] of [0.2, 0.9, 0.5].entries())
    apart.push(await solve(bounds[at] as number, bounds[at + 1] as number, share, parts[at] as Solved));
  expect(joined([again as Solved])).toEqual(joined(apart));
  expect((found as Solved).report.error.get(2)?.after).toBeGreaterThan(0);
});
