/**
 * Solves projections in the order of the graph, each for the inputs that the quantized projections before it give: at the precisions
 * with a quantized prefix, codes and tables shall come near to corrected weights, whose output on those inputs is the float model's
 * on its own. The codes are shared, but every precision has a goal of its own, so that the errors of int2 do not spoil int8.
 */

import { hessianOf, type StreamStatistics } from '../capture/index.js';
import { fail } from '../diagnostics.js';
import type { Machine } from '../files/machine.js';
import { effectiveBits, type ProjectionPlace, tableBlocks } from '../quant/layout.js';
import type { Precision } from '../quant/precision.js';
import { sliceCodes } from '../quant/slice.js';
import { type DecodeTable, decodeTable } from '../quant/tables.js';
import type { PrefixRecipe, Recipe } from '../recipe/index.js';
import type { Chosen, Source } from '../source/index.js';
import { correctWeights, type Shift } from './kernel/correct.js';
import { type Nested, parentBits } from './kernel/options.js';
import type { Solved, SolveItem } from './kernel/solve.js';
import { PrefixWalk } from './prefix-walk.js';
import { solveMeasured } from './solve-measured.js';
import { solveOptions } from './solve-options.js';
import {
  groupsOf,
  itemsOf,
  type SolvedProjection,
  type Solver,
  storedWeight,
  takeOrSolve,
} from './solve-projections.js';

/** What feeds the solver. */
export interface Prefix {
  readonly recipe: PrefixRecipe;
  readonly source: Source;
  readonly windows: readonly Int32Array[];
  readonly machine: Machine;
  readonly inFloat64: boolean;
}

/** What a compilation brings to it. */
interface PrefixOptions extends Pick<Prefix, 'machine'> {
  readonly recipe: Recipe;
}

/** The prefix that a recipe asks for, or undefined. */
export function prefixOf(source: Source, windows: readonly Int32Array[], options: PrefixOptions): Prefix | undefined {
  const { recipe, machine } = options;
  if (recipe.prefix === undefined) return undefined;
  if (windows.length === 0) return fail('bad-usage', 'text', 'A quantized prefix needs text');
  const bits = recipe.prefix.bits.filter((each) => recipe.bits.includes(each));
  const inFloat64 = recipe.capture === 'float64';
  return { recipe: { ...recipe.prefix, bits }, source, windows, machine, inFloat64 };
}

type PlaceOf = (id: string) => ProjectionPlace;

/** Projections with one input, and the names of their solutions. */
interface Group {
  readonly chosen: readonly Chosen[];
  readonly keys: readonly string[];
}

/** Yields every chosen projection once, solved. */
export async function* solveBehindPrefix(
  chosen: readonly Chosen[],
  placeOf: PlaceOf,
  prefix: Prefix,
  solver: Solver,
): AsyncGenerator<SolvedProjection> {
  const { files, context } = solver;
  const groups = keyed(chosen, placeOf, prefix, solver);
  const missing = new Set([...groups].flatMap(([id, { keys }]) => (keys.every((key) => files.find(key)) ? [] : [id])));
  const total = chosen.reduce((sum, { projection }) => sum + projection.k * projection.n, 0);
  let done = 0;
  const walk = new PrefixWalk(prefix.source, prefix.windows, prefix, context);
  try {
    for (const segment of walk.segments) {
      for (const id of walk.groupsIn(segment)) {
        const group = groups.get(id);
        if (group === undefined) continue;
        const solve = (open: readonly Chosen[]): Promise<Solved[]> => solveOpen(open, placeOf, prefix, solver, walk);
        for await (const solved of takeOrSolve(group.chosen, group.keys, files, solve)) {
          yield solved;
          const { projection } = solved.chosen;
          const place = placeOf(projection.id);
          walk.solved(projection, (bits) => weightsAt(place, solved.nested, bits, solver));
          done += projection.k * projection.n;
          context.progress.update({ stage: 'solve', done, total, detail: projection.id });
        }
        missing.delete(id);
      }
      // What an earlier run has solved needs no activations, unless something behind it is missing.
      if (missing.size > 0) await walk.advance();
    }
  } finally {
    walk.close();
  }
}

/** The groups by their id; the name of a solution depends on all solutions before it. */
function keyed(
  chosen: readonly Chosen[],
  placeOf: PlaceOf,
  { recipe }: Prefix,
  { recipe: whole, statistics, files }: Solver,
): ReadonlyMap<string, Group> {
  let before: readonly string[] = [];
  return new Map(
    groupsOf(chosen).map((own) => {
      const [{ projection: first }] = own as [Chosen];
      const options = solveOptions(placeOf(first.id), whole);
      const facts = [options, statistics?.header.digest, first.group, recipe, before];
      before = own.map(({ projection }) => files.key(storedWeight(projection), facts));
      return [first.group, { chosen: own, keys: before }];
    }),
  );
}

/** Solves projections of one group for what reaches them. */
async function solveOpen(
  open: readonly Chosen[],
  placeOf: PlaceOf,
  { recipe }: Prefix,
  { pool, statistics, recipe: whole }: Solver,
  walk: PrefixWalk,
): Promise<Solved[]> {
  const [{ projection: first }] = open as [Chosen];
  const place = placeOf(first.id);
  const options = solveOptions(place, whole);
  const { share, damping } = recipe;
  const items = await itemsOf(open, pool);
  const goals = items.map(() => new Map<Precision, Float32Array>());
  const streams = streamsOf(place, recipe.bits);
  const correction = { share, damping, block: options.block };
  for (const [bits, stream] of streams) {
    const shift = shiftOf(await walk.collect(first.group, stream));
    for (const [at, weights] of (await correctWeights(pool, items, first.k, shift, correction)).entries())
      goals[at]?.set(bits, weights);
  }
  const wanted = items.map((item, at): SolveItem => ({ ...item, goals: goals[at] ?? new Map() }));
  return [...(await solveMeasured(pool, wanted, first, statistics, options))];
}

/** The stream that each precision of a projection is solved for; one kept at 4 bits in the int2 model takes that of int4 where there is one. */
function streamsOf(place: ProjectionPlace, bits: readonly Precision[]): ReadonlyMap<Precision, Precision> {
  return new Map(bits.toSorted((a, b) => a - b).map((each) => [effectiveBits(place, each), each]));
}

/** Means over tokens of what a stream was found to be; the sums are not needed any more, and are large. */
function shiftOf(statistics: StreamStatistics): Shift {
  const { group, change, tokens } = statistics;
  if (change === undefined) throw new Error(`no change of ${group} was collected`);
  for (let at = 0; at < change.length; at++) change[at] = (change[at] as number) / tokens;
  return { gram: hessianOf(statistics), change };
}

/** The weights of a solved projection in the model of a precision. */
function weightsAt(place: ProjectionPlace, nested: Nested, bits: Precision, { recipe }: Solver): Float32Array {
  const own = effectiveBits(place, bits);
  const codes = own === parentBits(place.chain) ? nested.codes : sliceCodes(nested.codes, recipe.slice, own);
  return decodeTable(codes, tableBlocks(place), nested.tables.get(own) as DecodeTable);
}
