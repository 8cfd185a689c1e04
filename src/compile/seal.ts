/** What is said of models that were written and checked: the manifest, the report of the compilation, and the result. */
import { readdirSync, realpathSync, statSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { dataLocations } from '../onnx/convert/data-locations.js';
import { fileSizesOf } from '../onnx/convert/file-sizes.js';
import { filesOfModel } from '../onnx/convert/import.js';
import { oldestRuntimes } from '../recipe/index.js';
import { kernelFacts } from '../runtime/kernels.js';
import {
  type BlockTraining,
  type CompiledDistillation,
  type SetManifest,
  writeCompiled,
  writeSetManifest,
} from '../set/index.js';
import type { Measured, TableReport } from '../solve/index.js';
import { wasQuantized } from '../source/index.js';
import { textFiles } from '../text/index.js';
import type { Probe } from './check-set.js';
import type { CompileResult } from './compile-options.js';
import type { Job } from './open.js';
import type { ProjectionReport } from './projection-report.js';
import type { Learned, Prepared, Solving } from './solve-stage.js';
import { computesHalf } from './target.js';
import type { Written } from './write.js';

/** What became of the parts of a model. */
export interface Facts {
  readonly projections: readonly ProjectionReport[];
  readonly tables: readonly TableReport[];
  readonly training: readonly BlockTraining[];
  readonly distilled: readonly CompiledDistillation[];
  /** How weights were trained end to end, when they were. */
  readonly weights: CompiledDistillation | undefined;
}

/** The facts of stages whose projections were all taken. */
export const factsOf = (
  { blocks, weights, tables }: Prepared,
  { reports: projections }: Solving,
  { tuned, distilled }: Learned,
): Facts => ({
  projections,
  tables,
  training: [...(blocks?.reports ?? []), ...tuned],
  distilled,
  weights: weights?.report,
});

/** What is said of models that were written and checked. */
export interface Sealing {
  readonly measured: Measured;
  readonly quality: Readonly<Record<string, Probe>>;
  readonly facts: Facts;
}

/** Writes the manifest, and the report of what only the compilation knows. */
export async function seal(folder: string, job: Job, { set }: Written, sealing: Sealing): Promise<void> {
  const { options, stem } = job;
  if (set !== undefined) {
    const { graphs, written } = set;
    const { recipe } = options;
    const { quality } = sealing;
    const runtimes = oldestRuntimes(recipe, { half: computesHalf(job.source) });
    const provenance = {
      ...provenanceOf(sealing, job),
      ...(await kernelFacts()),
      runtimes,
      ...(await textOf(job, sealing.measured)),
    };
    const manifest = { source: await sourceOf(job), recipe, graphs, quality, provenance };
    writeSetManifest(join(folder, `${stem}.json`), stem, written, manifest);
  }
  const { projections, tables, training, distilled, weights } = sealing.facts;
  const known = {
    sourceBytes: fileSizesOf(options.model).fileBytes,
    calibrationTokens: sealing.measured.tokens,
    refused: job.source.left,
    projections,
    tables,
    ...(training.length > 0 && { training }),
    ...(distilled.length > 0 && { distill: distilled }),
    ...(weights !== undefined && { weights }),
  };
  writeCompiled(join(folder, `${stem}.report.json`), known, set?.written);
}

/** What `compile` returns, once the folder is complete. */
export function resultOf(folder: string, job: Job, { models }: Written, sealing: Sealing): CompileResult {
  const { options, clock, source } = job;
  const { measured, quality, facts } = sealing;
  const { projections, tables, distilled } = facts;
  const files = readdirSync(folder).map((name) => ({ name, bytes: statSync(join(folder, name)).size }));
  return {
    model: options.folder,
    output: options.output,
    recipe: options.recipe,
    files: files.map(({ name, bytes }) => ({ path: join(options.output, name), bytes })),
    precisions: models.map(({ name, file: _, ...precision }) => {
      const probe = quality[name];
      return probe === undefined ? precision : { ...precision, probe };
    }),
    quantized: projections.length,
    refused: source.left.map(({ at, code, reason }) => ({ at, code, reason })),
    projections,
    tables,
    distilled,
    calibrationTokens: measured.tokens,
    calibration: measured.evidence,
    seconds: Object.values(clock.stages).reduce((sum, each) => sum + each, 0),
    stages: clock.stages,
    peakMemoryBytes: 1024 * process.resourceUsage().maxRSS,
  };
}

const provenanceOf = (
  { measured, facts: { distilled } }: Sealing,
  { source }: Job,
): Readonly<Record<string, unknown>> => ({
  ...(wasQuantized(source) && { source: 'quantized: weights were made float, and figures do not hold their own loss' }),
  calibrationTokens: measured.tokens,
  ...(measured.evidence !== undefined && { calibration: measured.evidence }),
  ...(measured.statistics !== undefined && { statistics: measured.statistics.header.digest }),
  ...(distilled.length > 0 && { distilled }),
});

/** The source in the manifest: its graph file, and all files it was read from. */
export async function sourceOf({ source, inputs, options }: Job): Promise<SetManifest['source']> {
  const digests = await inputs.digests([...new Set([options.model, ...filesOfModel(source.model)])]);
  const names = namesOf(options.model);
  const files = digests.map(({ path, bytes, sha256 }) => ({ name: names.get(path) ?? basename(path), bytes, sha256 }));
  return { name: basename(options.model), sha256: files[0]?.sha256, files };
}

/** Files of a model under their own names: in the cache of the hub, a data file is a link to one that is named by its digest. */
function namesOf(model: string): ReadonlyMap<string, string> {
  const paths = [model, ...dataLocations(model).map((location) => join(dirname(model), location))];
  return new Map(
    paths.flatMap((path) => [[path, basename(path)] as const, [realpathSync(path), basename(path)] as const]),
  );
}

/** The text in the manifest: where it comes from, the digests of its files, and how much of it was learnt from. */
async function textOf({ options, inputs }: Job, measured: Measured): Promise<Readonly<Record<string, unknown>>> {
  const { text, textSource } = options;
  if (text === undefined) return {};
  const digests = await inputs.digests('ids' in text ? textFiles(text) : text.files);
  return { text: { source: textSource, sha256: digests.map(({ sha256 }) => sha256), tokens: measured.tokens } };
}
