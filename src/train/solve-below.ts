/** Solves the bits below codes that were learnt again: the leading bits stay, and the larger precisions make the best of them. */

import type { Context } from '../log.js';
import { compressTable, type StoredTable } from '../quant/compress.js';
import type { ProjectionPlace } from '../quant/layout.js';
import type { Precision } from '../quant/precision.js';
import { centre, uncentre } from '../quant/tables.js';
import { centredTable, placesOf, type SetReader, type SolvedStore } from '../set/index.js';
import {
  groupsOf,
  type HeldCodes,
  itemsOf,
  type Solved,
  type Solver,
  solveMeasured,
  solveOptions,
} from '../solve/index.js';
import type { Chosen, Source } from '../source/index.js';
import type { Tables } from './distill/student.js';
import { finer, gridOfTable, mergedCodes, parentCodesOf } from './latents.js';

/** The store with codes that begin as `latents` say, and with tables of the precisions above `bits` that were solved for them. */
export async function solveBelow(
  latents: Tables,
  bits: Precision,
  source: Source,
  store: SolvedStore,
  solver: Solver,
): Promise<SolvedStore> {
  const places = placesOf(store.layout);
  const chosen = source.chosen.filter(({ projection }) => latents.get(projection.id)?.latent !== undefined);
  let done = 0;
  let learned = store;
  for (const group of groupsOf(chosen)) {
    solver.context.signal.throwIfAborted();
    const held = group.map(({ projection }) =>
      heldOf(latents, bits, store, places.get(projection.id) as ProjectionPlace),
    );
    const place = places.get(group[0]?.projection.id ?? '') as ProjectionPlace;
    const above = finer(place, bits);
    const solved = above.length === 0 ? [] : await solveGroupBelow(group, held, place, above, solver);
    learned = learned.with(
      group.map(({ projection }, at) => {
        const own = solved[at];
        const codes = own?.codes ?? (held[at] as HeldCodes).codes;
        return [projection.id, { codes, tables: own && storedAbove(own, place, above, store) }] as const;
      }),
    );
    done += group.length;
    progress(solver.context, done, chosen.length);
  }
  return learned;
}

const progress = ({ progress }: Context, done: number, total: number): void =>
  progress.update({ stage: 'solve again', done, total });

function heldOf(latents: Tables, bits: Precision, reader: SetReader, place: ProjectionPlace): HeldCodes {
  const latent = latents.get(place.id)?.latent as Float32Array;
  const top = place.chain.at(-1) as Precision;
  const table = uncentre(centredTable(reader, place, top), top);
  return { bits, codes: mergedCodes(parentCodesOf(reader, place), latent, bits), grid: gridOfTable(table, top) };
}

async function solveGroupBelow(
  group: readonly Chosen[],
  held: readonly HeldCodes[],
  place: ProjectionPlace,
  above: readonly Precision[],
  { recipe, statistics, pool }: Solver,
): Promise<readonly Solved[]> {
  const [{ projection: first }] = group as [Chosen];
  const options = { ...solveOptions(place, recipe), bits: [8 as const, ...above.filter((each) => each !== 8)] };
  const lambda = above.includes(8) ? options.lambda : { ...options.lambda, 8: 1e-6 };
  const items = (await itemsOf(group, pool)).map((item, at) => ({ ...item, held: held[at] as HeldCodes }));
  return solveMeasured(pool, items, first, statistics, { ...options, lambda });
}

function storedAbove(
  solved: Solved,
  place: ProjectionPlace,
  above: readonly Precision[],
  { layout }: SetReader,
): ReadonlyMap<number, StoredTable> {
  return new Map(
    above.map((bits) => {
      const table = solved.tables.get(bits);
      if (table === undefined) throw new Error(`no int${bits} table was solved`);
      return [bits, compressTable(centre(table, bits), layout.tables, place.id)];
    }),
  );
}
