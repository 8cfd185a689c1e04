/** Writes a compiled set into a folder: solves, trains and distils into the data file, then graphs, check, manifest and report. */
import { renameSync, statSync } from 'node:fs';
import { basename, join } from 'node:path';
import { fail } from '../diagnostics.js';
import type { InputWatch } from '../files/input-watch.js';
import { KernelPool } from '../kernels/pool.js';
import type { Context } from '../log.js';
import { fileSizesOf } from '../onnx/convert/file-sizes.js';
import { filesOfModel } from '../onnx/convert/import.js';
import type { SetLayout } from '../quant/layout.js';
import { bitsPerWeight } from '../quant/layout-use.js';
import type { Bits, Recipe } from '../recipe/index.js';
import {
  type BlockTraining,
  type CompiledDistillation,
  dataName,
  idOf,
  makeTemplate,
  requireFoldable,
  type SetGraph,
  type SetManifest,
  type Solve,
  type Template,
  type WrittenSet,
  writeCompiled,
  writeData,
  writeGraph,
  writeSetManifest,
} from '../set/index.js';
import {
  type CompressedTables,
  compressTables,
  type Measured,
  openPrefix,
  SolvedFiles,
  type Solver,
  solveBehindPrefix,
  solveProjections,
  type TableReport,
} from '../solve/index.js';
import type { Source } from '../source/index.js';
import type { TextOptions } from '../text/index.js';
import {
  distill,
  type Trained,
  type TrainedWeights,
  trainBlocks,
  trainedFirst,
  trainWeights,
  tuneTables,
} from '../train/index.js';
import { checkSet, type Probe } from './check-set.js';
import type { Clock } from './clock.js';
import { type ProjectionReport, projectionReport } from './projection-report.js';

/** The options of `compile` with all defaults filled in; `CompileInput` is what a caller passes. */
export interface CompileOptions {
  /** ONNX file of a float export. */
  readonly model: string;
  /** Folder of the set. */
  readonly output: string;
  /** File name stem of the set; the model's by default. */
  readonly name?: string;
  /** How the model is compiled. */
  readonly recipe: Recipe;
  /** Most bytes of the smallest model with its graph. Attention, embedding, head and floats get the bits that fit. */
  readonly targetBytes?: number;
  /** Calibration text. */
  readonly text?: TextOptions;
  /** Folders of captured statistics. They are added and replace text in the solver. */
  readonly statistics?: readonly string[];
  /** Worker threads. Results are the same for any number. */
  readonly threads: number;
  /** Bytes of memory to plan for. */
  readonly memoryBytes: number;
  /** Random seed. The same seed and input give the same bytes. */
  readonly seed: number;
  /** Write self-contained models, one per precision, instead of the nested set. */
  readonly standalone: boolean;
  /** Fail when something in scope stays float. */
  readonly strict: boolean;
  /** Folder of results that a later run may reuse. */
  readonly work?: string;
  /** Replace files of the same names that this tool did not write. Inputs are never replaced. */
  readonly overwrite?: boolean;
}

/** One model of the set. */
export interface CompiledPrecision {
  readonly bits: number;
  /** Graph and the part of the data file it needs. */
  readonly bytes: number;
  /** The part of the data file it needs. */
  readonly dataBytes: number;
  readonly storedBitsPerWeight: number;
  /** Comparison with the source on a short probe; absent when the source does not fit the memory. */
  readonly probe?: Probe;
}

/** A compilation under way. */
export interface Compilation {
  readonly source: Source;
  readonly inputs: InputWatch;
  readonly measured: Measured;
  readonly options: CompileOptions;
  /** File name stem of the set. */
  readonly stem: string;
  readonly context: Context;
  readonly clock: Clock;
}

/** What was written into a folder. */
export interface WrittenFolder {
  readonly precisions: readonly CompiledPrecision[];
  readonly projections: readonly ProjectionReport[];
  readonly tables: readonly TableReport[];
  readonly distilled: readonly CompiledDistillation[];
}

/** Writes the set into `folder`. */
export async function writeSet(folder: string, job: Compilation): Promise<WrittenFolder> {
  const { options, stem, clock, measured } = job;
  const { recipe, threads } = options;
  const pool = new KernelPool(threads);
  const solved = await solveData(folder, job, pool).finally(() => pool.close());
  try {
    const { written, template, distilled } = solved;
    const graphs = [...recipe.bits]
      .sort((a, b) => a - b)
      .map((bits) => writeGraph(folder, stem, bits, template, written, recipe.accuracyLevel));
    clock.lap('emit');
    // A set that is only to be cut into models is checked by those.
    const quality = options.standalone ? {} : await checkFolder(folder, graphs, job);
    writeSetManifest(join(folder, `${stem}.json`), stem, written, {
      source: await sourceOf(job),
      recipe,
      graphs,
      quality,
      provenance: { ...provenanceOf(measured), ...(distilled.length > 0 && { distilled }) },
    });
    writeReport(join(folder, `${stem}.report.json`), job, solved);
    const precisions = graphs.map((graph) => compiledPrecision(graph, folder, template.layout, quality));
    return { precisions, projections: solved.projections, tables: solved.tables, distilled };
  } finally {
    solved.close();
  }
}

/** Compares graphs of a folder with the source. */
export async function checkFolder(
  folder: string,
  graphs: readonly Pick<SetGraph, 'name' | 'file'>[],
  { source, measured, options, context, clock }: Compilation,
): Promise<Readonly<Record<string, Probe>>> {
  const { model, recipe, threads, memoryBytes } = options;
  const { probe } = measured;
  const quality = await checkSet({ source, model, recipe, folder, graphs, probe, threads, memoryBytes }, context);
  clock.lap('check');
  return quality;
}

/** The source in the manifest: its graph file, and all files it was read from. */
async function sourceOf({ source, inputs, options }: Compilation): Promise<SetManifest['source']> {
  const digests = await inputs.digests([...new Set([options.model, ...filesOfModel(source.model)])]);
  const files = digests.map(({ path, bytes, sha256 }) => ({ name: basename(path), bytes, sha256 }));
  return { name: basename(options.model), sha256: files[0]?.sha256, files };
}

/** A data file that is complete, and what became of its parts. */
interface SolvedData {
  readonly template: Template;
  readonly written: WrittenSet;
  readonly projections: readonly ProjectionReport[];
  readonly tables: readonly TableReport[];
  readonly training: readonly BlockTraining[];
  readonly distilled: readonly CompiledDistillation[];
  /** How weights were trained end to end, when they were. */
  readonly weights: TrainedWeights['report'] | undefined;
  close(): void;
}

/** A set that is only to be cut into models joins nothing at load, and is not asked. */
function requireAllFoldable({ layout, model }: Template, { bits }: Recipe): void {
  for (const each of bits) requireFoldable(layout, () => each, model.opsets.get('') ?? 1);
}

async function solveData(folder: string, job: Compilation, pool: KernelPool): Promise<SolvedData> {
  const { source, measured, options, stem, context, clock } = job;
  const { recipe, work } = options;
  const { statistics, windows } = measured;
  const data = join(folder, `${stem}.data`);
  const files = new SolvedFiles(work && join(work, 'solved'), context.log);
  const projections: ProjectionReport[] = [];
  let tables: CompressedTables | undefined;
  let trained: Trained | undefined;
  try {
    const weights = await trainWeights(source, options, context);
    trained = await trainBlocks(source, measured, options, pool, context);
    if (trained !== undefined || weights !== undefined) clock.lap('train');
    tables = await compressTables(source, folder, { recipe: measured.recipe, statistics, files, pool, context });
    clock.lap('tables');
    const template = makeTemplate(source, recipe, trained?.entries);
    if (!options.standalone) requireAllFoldable(template, recipe);
    const solver: Solver = { recipe: measured.recipe, statistics, pool, files, context };
    const prefix = openPrefix(windows, options);
    const solve: Solve = (chosen, placeOf) =>
      trainedFirst(chosen, weights ?? trained, (open) =>
        prefix ? solveBehindPrefix(open, placeOf, prefix, solver) : solveProjections(open, placeOf, solver),
      );
    const solved = await writeData(data, template, solve, source.chosen, (each, place, parts) => {
      projections.push(projectionReport(each, place, parts));
    });
    clock.lap('solve');
    const tuned = await tuneTables({ ...options, data, written: solved, windows }, context);
    if (tuned.reports.length > 0) clock.lap('tune');
    const { written, reports: distilled } = await distillWritten(data, tuned.written, job, solver);
    if (distilled.length > 0) clock.lap('distill');
    renameSync(data, join(folder, dataName(stem, idOf(written))));
    const training = [...(trained?.reports ?? []), ...tuned.reports];
    const compressed = tables;
    return {
      template,
      weights: weights?.report,
      written,
      projections,
      tables: tables.reports,
      training,
      distilled,
      close: () => compressed.close(),
    };
  } catch (error) {
    tables?.close();
    throw error;
  } finally {
    trained?.close();
  }
}

/** Distils tables where the recipe asks for it. */
async function distillWritten(
  data: string,
  written: WrittenSet,
  { source, options, context }: Compilation,
  solver: Solver,
): Promise<Awaited<ReturnType<typeof distill>>> {
  const { text, recipe } = options;
  if (recipe.distill === undefined) return { written, reports: [] };
  if (text === undefined) return fail('bad-usage', 'text', 'Distillation needs text');
  return distill({ ...options, source, data, written, text, solver }, context);
}

/** What only the compilation knows, for a later report. */
function writeReport(path: string, { options, measured, source }: Compilation, solved: SolvedData): void {
  const { projections, tables, training, distilled, weights } = solved;
  const facts = {
    sourceBytes: fileSizesOf(options.model).fileBytes,
    calibrationTokens: measured.tokens,
    refused: source.left,
    projections,
    tables,
    ...(training.length > 0 && { training }),
    ...(distilled.length > 0 && { distill: distilled }),
    ...(weights !== undefined && { weights }),
  };
  writeCompiled(path, facts, solved.written);
}

function compiledPrecision(
  graph: SetGraph,
  folder: string,
  layout: SetLayout,
  quality: Readonly<Record<string, Probe>>,
): CompiledPrecision {
  const bits = graph.bits as Bits;
  const found = quality[graph.name];
  return {
    bits,
    dataBytes: graph.bytesNeeded,
    bytes: graph.bytesNeeded + statSync(join(folder, graph.file)).size,
    storedBitsPerWeight: bitsPerWeight(layout, () => bits, false).stored,
    ...(found !== undefined && { probe: found }),
  };
}

const provenanceOf = ({ statistics, tokens, evidence }: Measured): Readonly<Record<string, unknown>> => ({
  calibrationTokens: tokens,
  ...(evidence !== undefined && { calibration: evidence }),
  ...(statistics !== undefined && { statistics: statistics.header.digest }),
});
