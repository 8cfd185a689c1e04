/** The road from a float export to the nested set. */
import { statSync } from 'node:fs';
import { basename, join } from 'node:path';
import { fixedShapeOf } from '../analysis/fixed-shape.js';
import { digestOfFile } from '../convert/digest.js';
import { fileSizesOf } from '../convert/file-sizes.js';
import { stagedFolder } from '../convert/output.js';
import type { SetGraph } from '../convert/set-manifest.js';
import type { WrittenSet } from '../convert/set-writer.js';
import { fail } from '../diagnostics.js';
import { KernelPool } from '../kernels/pool.js';
import type { Context } from '../log.js';
import { type SetLayout, storedBitsAt } from '../quant/layout.js';
import { checkGraphs, type Probe } from './check-set.js';
import { type DistillReport, distill } from './distill.js';
import { type Measured, measure } from './measure.js';
import { type ProjectionReport, projectionReport } from './projection-report.js';
import { trainWeights } from './qat.js';
import type { Bits, Recipe } from './recipe.js';
import { referenceOf } from './reference.js';
import { writeCompiled } from './report-files.js';
import { type CompressedTables, compressTables } from './rest.js';
import { solveProjections } from './solve-projections.js';
import type { TableReport } from './solve-tables.js';
import { SolvedFiles } from './solved-files.js';
import { openSource, requireComplete, requireFfn, type Source } from './source.js';
import { requireTarget } from './target.js';
import { fitRest } from './target-size.js';
import type { TextOptions } from './text-options.js';
import { type Trained, trainBlocks, trainedFirst } from './train-blocks.js';
import { tuneTables } from './tune-tables.js';
import { makeTemplate, type Solve, writeData, writeGraph, writeSetManifest } from './write-set.js';

export interface CompileOptions {
  readonly model: string;
  /** Folder of the set. */
  readonly output: string;
  /** File name stem of the set; the model's by default. */
  readonly name?: string;
  readonly recipe: Recipe;
  /** Bytes that the smallest model may take: the rest is stored as small as this needs. */
  readonly targetBytes?: number;
  readonly text?: TextOptions;
  readonly threads: number;
  readonly memoryBytes: number;
  readonly seed: number;
  /** Write self-contained models, one per precision, instead of the nested set. */
  readonly standalone: boolean;
  /** Fail when something in scope stays float. */
  readonly strict: boolean;
  /** Folder of results that a later run may reuse. */
  readonly work?: string;
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

export interface CompileResult {
  /** The recipe, fitted to the target size where one was given. */
  readonly recipe: Recipe;
  readonly files: readonly { readonly path: string; readonly bytes: number }[];
  readonly precisions: readonly CompiledPrecision[];
  readonly quantized: number;
  readonly refused: readonly { readonly at: string; readonly code: string; readonly reason: string }[];
  readonly projections: readonly ProjectionReport[];
  /** Embedding and head, where they were quantized. */
  readonly tables: readonly TableReport[];
  /** Precisions whose tables were distilled. */
  readonly distilled: readonly DistillReport[];
  readonly calibrationTokens: number;
  readonly seconds: number;
  /** Seconds by stage. */
  readonly stages: Readonly<Record<string, number>>;
  /** Most memory that this process has held so far. */
  readonly peakMemoryBytes: number;
}

/** Compiles `options.model` into a set in `options.output`. Nothing is written there unless all of it succeeds. */
export async function compile(asked: CompileOptions, context: Context): Promise<CompileResult> {
  const clock = new Clock();
  const { source, recipe } = fitRest(openSource(asked.model, asked.recipe), asked.recipe, asked.targetBytes);
  const options = { ...asked, recipe };
  requireTarget(source, recipe, context);
  requireFfn(source);
  if (options.strict) requireComplete(source, recipe);
  clock.lap('read');
  const measured = await measure(source, options, context);
  clock.lap('capture');
  const stem = options.name ?? basename(options.model).replace(/\.onnx$/i, '');
  const write = async (folder: string): Promise<CompileResult> => {
    const set = await writeSet(folder, stem, source, measured, options, context, clock);
    return resultOf(set, options, measured, clock);
  };
  return stagedFolder(options.output, write, [`${stem}.json`]).finally(measured.close);
}

/** Seconds by stage. */
class Clock {
  readonly stages: Record<string, number> = {};
  #last = performance.now();

  lap(stage: string): void {
    const now = performance.now();
    this.stages[stage] = (now - this.#last) / 1000;
    this.#last = now;
  }
}

/** What was written into the staged folder. */
interface WrittenFolder {
  readonly files: readonly { readonly name: string; readonly bytes: number }[];
  readonly precisions: readonly CompiledPrecision[];
  readonly projections: readonly ProjectionReport[];
  readonly tables: readonly TableReport[];
  readonly distilled: readonly DistillReport[];
  readonly source: Source;
}

async function writeSet(
  folder: string,
  stem: string,
  source: Source,
  measured: Measured,
  options: CompileOptions,
  context: Context,
  clock: Clock,
): Promise<WrittenFolder> {
  const { recipe } = options;
  const data = `${stem}.data`;
  const digest = digestOfFile(options.model);
  const projections: ProjectionReport[] = [];
  const solvedFiles = new SolvedFiles(options.work && join(options.work, 'solved'));
  const pool = new KernelPool(options.threads);
  let tables: CompressedTables | undefined;
  let trained: Trained | undefined;
  try {
    const { statistics, windows } = measured;
    const weights = await trainWeights(source, options, context);
    trained = await trainBlocks(source, measured, options, pool, context);
    if (trained !== undefined || weights !== undefined) clock.lap('train');
    tables = await compressTables(source, folder, { recipe, statistics, files: solvedFiles, pool, context });
    clock.lap('tables');
    const template = makeTemplate(source, recipe);
    const solve: Solve = (chosen, placeOf) =>
      trainedFirst(chosen, weights ?? trained, (open) =>
        solveProjections(open, placeOf, recipe, measured.statistics, pool, solvedFiles, context),
      );
    const solved = await writeData(join(folder, data), template, solve, source.chosen, (each, place, parts) => {
      projections.push(projectionReport(each, place, parts));
    });
    clock.lap('solve');
    const tuned = await tuneTables({ ...options, data: join(folder, data), written: solved, windows }, context);
    if (tuned.reports.length > 0) clock.lap('tune');
    const { written, reports: distilled } = await distillWritten(join(folder, data), tuned.written, options, context);
    clock.lap('distill');
    const graphs = [...recipe.bits]
      .sort((a, b) => a - b)
      .map((bits) => writeGraph(folder, stem, bits, template, data, recipe.accuracyLevel, written.layout));
    clock.lap('emit');
    const quality = await probe(source, folder, graphs, measured, options, context);
    clock.lap('check');
    const training = [...(trained?.reports ?? []), ...tuned.reports];
    const facts = {
      source: { name: basename(options.model), sha256: await digest },
      recipe,
      graphs,
      quality,
      provenance: { ...provenanceOf(measured), ...(distilled.length > 0 && { distilled }) },
    };
    writeSetManifest(join(folder, `${stem}.json`), data, written, facts);
    writeCompiled(join(folder, `${stem}.report.json`), {
      sourceBytes: fileSizesOf(options.model).fileBytes,
      calibrationTokens: measured.tokens,
      refused: source.left,
      projections,
      tables: tables.reports,
      ...(training.length > 0 && { training }),
      ...(distilled.length > 0 && { distill: distilled }),
      ...(weights !== undefined && { weights: weights.report }),
    });
    const names = [data, ...graphs.map(({ file }) => file), `${stem}.report.json`, `${stem}.json`];
    const files = names.map((name) => ({ name, bytes: statSync(join(folder, name)).size }));
    const precisions = graphs.map((graph) => compiledPrecision(graph, folder, template.layout, quality));
    return { files, precisions, projections, tables: tables.reports, distilled, source };
  } finally {
    tables?.close();
    trained?.close();
    await pool.close();
  }
}

/** Distils tables where the recipe asks for it. */
async function distillWritten(
  data: string,
  written: WrittenSet,
  options: CompileOptions,
  context: Context,
): Promise<Awaited<ReturnType<typeof distill>>> {
  const { text, recipe } = options;
  if (recipe.distill === undefined) return { written, reports: [] };
  if (text === undefined) return fail('bad-usage', '--text', 'Distillation needs text');
  return distill({ ...options, data, written, text }, context);
}

/** Compares the graphs with the source where both fit the memory; otherwise says that this was not done. */
async function probe(
  source: Source,
  folder: string,
  graphs: readonly SetGraph[],
  measured: Measured,
  options: CompileOptions,
  context: Context,
): Promise<Readonly<Record<string, Probe>>> {
  const { fileBytes } = fileSizesOf(options.model);
  if (2 * fileBytes > options.memoryBytes) {
    context.log.warn(
      `The source takes ${Math.round(fileBytes / 1e6)} MB, so the graphs were not compared with it: raise --memory to do so.`,
    );
    return {};
  }
  const reference = referenceOf(options.model, options.recipe, context);
  if (reference === undefined) return {};
  const vocabulary = source.analysis.embedding?.vocabulary ?? 256;
  const { threads, memoryBytes } = options;
  const { windows } = measured;
  const exactly = fixedShapeOf(source.model).length;
  try {
    return await checkGraphs(
      { source: reference.path, folder, graphs, windows, vocabulary, exactly, threads, memoryBytes },
      context,
    );
  } finally {
    reference.close();
  }
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
    storedBitsPerWeight: storedBitsAt(layout, bits),
    ...(found !== undefined && { probe: found }),
  };
}

const provenanceOf = ({ statistics, tokens }: Measured): Readonly<Record<string, unknown>> => ({
  calibrationTokens: tokens,
  ...(statistics !== undefined && { statistics: statistics.header.digest }),
});

function resultOf(set: WrittenFolder, options: CompileOptions, measured: Measured, clock: Clock): CompileResult {
  const { files, precisions, projections, tables, distilled, source } = set;
  return {
    recipe: options.recipe,
    files: files.map(({ name, bytes }) => ({ path: join(options.output, name), bytes })),
    precisions,
    quantized: projections.length,
    refused: source.left.map(({ at, code, reason }) => ({ at, code, reason })),
    projections,
    tables,
    distilled,
    calibrationTokens: measured.tokens,
    seconds: Object.values(clock.stages).reduce((sum, each) => sum + each, 0),
    stages: clock.stages,
    peakMemoryBytes: 1024 * process.resourceUsage().maxRSS,
  };
}
