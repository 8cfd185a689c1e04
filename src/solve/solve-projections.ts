/** Solves the chosen projections one group at a time: weights in, parent codes and tables out, nothing kept. */
import type { Projection } from '../analysis/projection.js';
import { hessianOf, type Statistics } from '../capture/index.js';
import { loadRows, type StoredWeight } from '../kernels/load-rows.js';
import type { KernelPool } from '../kernels/pool.js';
import type { Context } from '../log.js';
import type { ProjectionPlace } from '../quant/layout.js';
import type { Recipe } from '../recipe/index.js';
import type { Chosen } from '../source/index.js';
import { solveDataFree } from './kernel/data-free.js';
import type { Nested } from './kernel/options.js';
import type { Solved, SolveItem, SolveReport } from './kernel/solve.js';
import { solveMeasured } from './solve-measured.js';
import { nestingOf, solveOptions } from './solve-options.js';
import type { SolvedFiles } from './solved-files.js';

/** A solved projection, with what the report says of it. */
export interface SolvedProjection {
  readonly chosen: Chosen;
  readonly nested: Nested;
  /** Undefined for methods that do not measure. */
  readonly report: SolveReport | undefined;
  readonly seconds: number;
  /** Occurrences of each code of the parent before it was trained. */
  readonly codesBefore?: readonly number[] | undefined;
}

/** What solving needs beside the projections. */
export interface Solver {
  readonly recipe: Recipe;
  readonly statistics: Statistics | undefined;
  readonly pool: KernelPool;
  readonly files: SolvedFiles;
  readonly context: Context;
}

/** Yields every chosen projection once, solved, in graph order of their groups. */
export async function* solveProjections(
  chosen: readonly Chosen[],
  placeOf: (id: string) => ProjectionPlace,
  solver: Solver,
): AsyncGenerator<SolvedProjection> {
  const { context } = solver;
  const total = chosen.reduce((sum, { projection }) => sum + projection.k * projection.n, 0);
  let done = 0;
  for (const group of groupsOf(chosen)) {
    context.signal.throwIfAborted();
    for await (const solved of solveOneGroup(group, placeOf, solver)) {
      yield solved;
      const { id, k, n } = solved.chosen.projection;
      done += k * n;
      context.progress.update({ stage: 'solve', done, total, detail: id });
    }
  }
}

/** Projections that read the same input, together. */
export function groupsOf<C extends Pick<Chosen, 'projection'>>(chosen: readonly C[]): readonly (readonly C[])[] {
  const groups = new Map<string, C[]>();
  for (const each of chosen) groups.set(each.projection.group, [...(groups.get(each.projection.group) ?? []), each]);
  return [...groups.values()];
}

async function* solveOneGroup(
  group: readonly Chosen[],
  placeOf: (id: string) => ProjectionPlace,
  { recipe, statistics, pool, files }: Solver,
): AsyncGenerator<SolvedProjection> {
  if (statistics === undefined) {
    for (const chosen of group) yield await withoutData(chosen, placeOf(chosen.projection.id), recipe, pool);
    return;
  }
  const [{ projection: first }] = group as [Chosen];
  const options = solveOptions(placeOf(first.id), recipe);
  const facts = [options, statistics.header.digest, first.group];
  const keys = group.map(({ projection }) => files.key(storedWeight(projection), facts));
  yield* takeOrSolve(group, keys, files, async (open) => [
    ...(await solveMeasured(pool, await itemsOf(open, pool), first, statistics, options)),
  ]);
}

/** Yields a group, each projection as the file of its key has it; `solve` is asked for those without a file, which is then made. */
export async function* takeOrSolve(
  group: readonly Chosen[],
  keys: readonly string[],
  files: SolvedFiles,
  solve: (open: readonly Chosen[]) => Promise<Solved[]>,
): AsyncGenerator<SolvedProjection> {
  const known = keys.map((key) => files.find(key));
  const open = group.filter((_, at) => known[at] === undefined);
  const fresh = open.length === 0 ? [] : await solve(open);
  for (const [at, chosen] of group.entries()) {
    const solved = known[at] ?? (fresh.shift() as Solved);
    if (known[at] === undefined) files.save(keys[at] ?? '', solved);
    yield { chosen, nested: solved, report: solved.report, seconds: solved.report.seconds };
  }
}

/** H of what reaches a projection in the float model. */
export async function gramOf({ group }: Projection, statistics: Statistics | undefined): Promise<Float64Array> {
  if (statistics === undefined) throw new Error(`nothing was measured for ${group}`);
  return hessianOf(await statistics.load(group));
}

/** The weights of projections. */
export async function itemsOf(
  chosen: readonly Pick<Chosen, 'projection'>[],
  pool: KernelPool,
): Promise<readonly SolveItem[]> {
  const items: SolveItem[] = [];
  for (const { projection } of chosen)
    items.push({ name: projection.id, rows: projection.n, weights: await loadRows(pool, storedWeight(projection)) });
  return items;
}

async function withoutData(
  chosen: Chosen,
  place: ProjectionPlace,
  recipe: Recipe,
  pool: KernelPool,
): Promise<SolvedProjection> {
  const started = performance.now();
  const nested = await solveDataFree(pool, storedWeight(chosen.projection), nestingOf(place, recipe));
  return { chosen, nested, report: undefined, seconds: (performance.now() - started) / 1000 };
}

/** The weight as it lies in its file. The bytes are read here and dropped with the result. */
export function storedWeight({ id, weight, k, n }: Pick<Projection, 'id' | 'weight' | 'k' | 'n'>): StoredWeight {
  return {
    name: id,
    bytes: weight.tensor.bytes(),
    dtype: weight.tensor.dtype,
    layout: weight.layout,
    rows: n,
    cols: k,
  };
}
