/** The stages between statistics and files: what learns before codes are chosen, the solver, and what learns on its result. */

import { join } from 'node:path';
import { fail } from '../diagnostics.js';
import { keptIn } from '../files/machine.js';
import { KernelPool } from '../kernels/pool.js';
import type { ProjectionPlace } from '../quant/layout.js';
import type { Bits } from '../recipe/index.js';
import {
  type BlockTraining,
  type CompiledDistillation,
  makeTemplate,
  partsOf,
  placesOf,
  requireFoldable,
  SolvedStore,
  type StoredProjection,
  type Template,
} from '../set/index.js';
import {
  type Measured,
  orderOfText,
  prefixOf,
  SolvedFiles,
  type Solver,
  solveBehindPrefix,
  solveProjections,
  solveTables,
  type TableReport,
} from '../solve/index.js';
import {
  distill,
  type Trained,
  type TrainedWeights,
  trainBlocks,
  trainedFirst,
  trainWeights,
  tunesTables,
  tuneTables,
} from '../train/index.js';
import type { Job } from './open.js';
import { type ProjectionReport, projectionReport } from './projection-report.js';
import type { StagingFolder } from './staging-folder.js';

/** What is known before projections are solved. */
export interface Prepared {
  readonly solver: Solver;
  readonly template: Template;
  readonly tables: readonly TableReport[];
  /** Blocks or weights that were trained, whose codes are not solved. */
  readonly blocks: Trained | undefined;
  readonly weights: TrainedWeights | undefined;
}

/** Trains blocks or weights where the recipe says so, solves the embedding and the head, and makes the template of all graphs. */
export async function prepare(job: Job, measured: Measured, staging: StagingFolder): Promise<Prepared> {
  const { source, machine, context, clock } = job;
  const { recipe, statistics } = measured;
  const options = { ...job.options, machine };
  const pool = staging.add(new KernelPool(machine.threads));
  const files = new SolvedFiles(keptIn(machine, 'solved'), context.log, machine.onKept);
  const weights = await trainWeights(source, options, context);
  const blocks = staging.add(await trainBlocks(source, measured, options, pool, context));
  if (blocks !== undefined || weights !== undefined) clock.lap('train');
  const solver: Solver = { recipe, statistics, pool, files, context };
  const order = orderOfText(source, job.options);
  const work = { ...solver, order };
  const { tables, nested } = staging.add(await solveTables(source, join(staging.path, '.tables'), work));
  clock.lap('tables');
  const { entries = new Map(), folds = [] } = blocks ?? {};
  const template = makeTemplate(source, options.recipe, { entries, folds, tables, nested, order });
  const reports = [...tables.map(({ report }) => report), ...nested.flatMap((table) => table.reports)];
  if (!options.standalone) requireAllFoldable(template, options.recipe.bits);
  return { solver, template, tables: reports, blocks, weights };
}

/** A self-contained model joins nothing at load, and is not asked. */
function requireAllFoldable({ layout, model }: Template, bits: readonly Bits[]): void {
  for (const each of bits) requireFoldable(layout, () => each, model.opsets.get('') ?? 1);
}

/** Projections as they are solved, and reports of those that were taken. */
export interface Solving {
  readonly projections: AsyncIterable<StoredProjection>;
  readonly reports: readonly ProjectionReport[];
}

/** Solves projections as they are asked for; memory holds one group. */
export function solve(job: Job, measured: Measured, prepared: Prepared): Solving {
  const { template, solver, weights, blocks } = prepared;
  const { source, machine } = job;
  const places = placesOf(template.layout);
  const placeOf = (id: string): ProjectionPlace =>
    places.get(id) ?? fail('not-a-set', id, 'The projection has no place');
  const prefix = prefixOf(source, measured.windows, { recipe: job.options.recipe, machine });
  const solved = trainedFirst(source.chosen, weights ?? blocks, (open) =>
    prefix ? solveBehindPrefix(open, placeOf, prefix, solver) : solveProjections(open, placeOf, solver),
  );
  const reports: ProjectionReport[] = [];
  async function* projections(): AsyncGenerator<StoredProjection> {
    for await (const each of solved) {
      const place = placeOf(each.chosen.projection.id);
      const parts = partsOf(place, each.nested, template.layout);
      reports.push(projectionReport(each, place, parts));
      yield { id: place.id, parts };
    }
  }
  return { projections: projections(), reports };
}

/** Projections to be written, and what became of their tables. */
export interface Learned {
  readonly projections: AsyncIterable<StoredProjection>;
  readonly tuned: readonly BlockTraining[];
  readonly distilled: readonly CompiledDistillation[];
}

/** Trains tables and codes of solved projections where the recipe says so; otherwise they go on as they are solved. */
export async function train(
  job: Job,
  measured: Measured,
  { solver, template }: Prepared,
  solved: AsyncIterable<StoredProjection>,
  staging: StagingFolder,
): Promise<Learned> {
  const { source, machine, options, context, clock } = job;
  const { recipe, text, seed } = options;
  if (recipe.distill === undefined && !tunesTables(recipe)) return { projections: solved, tuned: [], distilled: [] };
  const store = staging.add(await SolvedStore.of(template.layout, solved, staging.path));
  clock.lap('solve');
  const stage = { source, machine, recipe, seed };
  const tuned = await tuneTables(store, { ...stage, windows: measured.windows }, context);
  if (tuned.reports.length > 0) clock.lap('tune');
  if (recipe.distill === undefined) return { projections: tuned.store, tuned: tuned.reports, distilled: [] };
  if (text === undefined) return fail('bad-usage', 'text', 'Distillation needs text');
  const distilled = await distill(tuned.store, { ...stage, text, solver }, context);
  if (distilled.reports.length > 0) clock.lap('distill');
  return { projections: distilled.store, tuned: tuned.reports, distilled: distilled.reports };
}
