/**
 * Processor time of the solver on the feed-forward projections of one layer, one thread, with the error of each precision under
 * the Gram matrix and a digest of all codes and tables, so that a faster solver can be held against a slower one:
 *
 *   node dist/scripts/solver-time.js MODEL STATISTICS [--layer 5] [--block 128] [--preset best] [--rows 2048] [--roles down]
 *
 * STATISTICS is a folder that `matquant capture` wrote, or `statistics` in the folder of results of a compilation.
 */
import { createHash } from 'node:crypto';
import { parseArgs } from 'node:util';
import { hessianOf, type Statistics } from '../src/capture/statistics.js';
import { openStatistics } from '../src/capture/statistics-files.js';
import { right, table } from '../src/cli/render.js';
import { PRESETS, parseRecipe, type RecipeInput } from '../src/index.js';
import { loadRows } from '../src/kernels/load-rows.js';
import { KernelPool } from '../src/kernels/pool.js';
import { lambdaOf } from '../src/recipe/recipe.js';
import { type Solved, solveGroup } from '../src/solve/kernel/solve.js';
import { storedWeight } from '../src/solve/solve-projections.js';
import { type Chosen, openSource } from '../src/source/source.js';

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    layer: { type: 'string', default: '5' },
    block: { type: 'string', default: '128' },
    preset: { type: 'string', default: 'best' },
    rows: { type: 'string', default: '2048' },
    roles: { type: 'string', default: 'gate,up,down' },
  },
});
const [model, folder] = positionals;
if (model === undefined || folder === undefined) throw new Error('MODEL STATISTICS');
const block = Number(values.block) as 128;
const recipe = parseRecipe({ ...PRESETS[values.preset], block } as RecipeInput, 'solver-time');
const { rounds, sweeps, slice, decode, symmetric, range, damping, bits } = recipe;
const OPTIONS = { rounds, sweeps, slice, decode, symmetric, range, damping, bits, block, lambda: lambdaOf(recipe) };
const rows: (readonly string[])[] = [];

async function solve(chosen: readonly Chosen[], statistics: Statistics, pool: KernelPool): Promise<void> {
  const first = chosen[0]?.projection;
  if (first === undefined) return;
  const gram = hessianOf(await statistics.load(first.group));
  const items = [];
  for (const { projection } of chosen) {
    const count = Math.min(projection.n, Number(values.rows));
    items.push({ name: projection.id, rows: count, weights: await loadRows(pool, storedWeight(projection), 0, count) });
  }
  const start = process.cpuUsage();
  const solved = await solveGroup(pool, items, first.k, gram, { ...OPTIONS, codes: 'gptq' });
  const { user, system } = process.cpuUsage(start);
  const millions = items.reduce((sum, { weights }) => sum + weights.length, 0) / 1e6;
  const errors = bits.map((each) => meanError(solved, each).toPrecision(4));
  rows.push([
    chosen.map(({ projection }) => projection.id).join(' '),
    String(first.k),
    millions.toFixed(2),
    ((user + system) / 1e6 / millions).toFixed(3),
    ...errors,
    digestOf(solved),
  ]);
}

const meanError = (solved: readonly Solved[], each: number): number =>
  solved.reduce((sum, { report }) => sum + (report.error.get(each as 8)?.after ?? 0), 0) / solved.length;

function digestOf(solved: readonly Solved[]): string {
  const hash = createHash('sha256');
  for (const { codes, tables } of solved) {
    hash.update(codes);
    for (const { scale, offset } of tables.values()) hash.update(scale).update(offset);
  }
  return hash.digest('hex').slice(0, 12);
}

const source = openSource(model, recipe);
const statistics = await openStatistics(folder);
const wanted = values.roles.split(',');
const layer = source.chosen.filter(
  ({ projection: { layer, role } }) => String(layer) === values.layer && wanted.includes(role),
);
const pool = new KernelPool(1);
for (const group of new Set(layer.map(({ projection }) => projection.group))) {
  await solve(
    layer.filter(({ projection }) => projection.group === group),
    statistics,
    pool,
  );
}
await pool.close();
const titles = ['projections', 'K', 'millions', 'CPU s per million', ...bits.map((each) => `int${each}`), 'digest'];
console.log(table(titles.map(right), rows));
