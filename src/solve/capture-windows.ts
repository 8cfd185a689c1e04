/** Statistics of the float model's inputs: captured over windows, or taken from folders and added up. */

import { rmSync } from 'node:fs';
import { join } from 'node:path';
import type { Projection } from '../analysis/projection.js';
import {
  capture,
  checkStatistics,
  digestOfModel,
  headerOfWindows,
  mergeStatistics,
  openStatistics,
  requireWeights,
  type Statistics,
  type WeightFacts,
} from '../capture/index.js';
import { fail } from '../diagnostics.js';
import { keptIn, type Machine } from '../files/machine.js';
import { temporaryFolder } from '../files/temporary.js';
import type { Context } from '../log.js';
import { importModel } from '../onnx/convert/import.js';
import type { Recipe } from '../recipe/index.js';
import { readHints } from '../runtime/hints.js';
import { ortRuntime } from '../runtime/ort.js';
import { embeddingOf, type Source } from '../source/index.js';
import type { Calibration } from './calibration.js';
import { FisherWeights, weightFacts } from './fisher-weights.js';
import { spareMemory } from './peak-memory.js';

/** Machine and folders of a capture. */
export interface CaptureWindowsOptions {
  /** The recipe, whose scope says which projections are captured. */
  readonly recipe: Recipe;
  readonly machine: Machine;
  /** Random seed, which draws labels where tokens have weights. */
  readonly seed: number;
  /** Digest of the source's model, where it is known: it is not read again for it. */
  readonly modelDigest?: string;
  /** Statistics of the work folder are opened as they are, for a known model; nothing is captured. */
  readonly kept?: true;
}

/** Statistics, and what removes them where no later run is to find them. */
export interface Captured {
  readonly statistics: Statistics;
  close(): void;
}

/** Names of folders of statistics in the work folder. */
const TEXT = 'statistics';
export const RANDOM_FOLDER = 'statistics-random';
/** The folder of one shard of so many. */
export const shardFolder = (at: number, count: number): string =>
  count === 1 ? TEXT : `${TEXT}-${at + 1}-of-${count}`;

/** Where and how a capture is kept, and what it is called in progress. */
interface Part {
  readonly folder: string;
  /** Share of the memory for statistics that no work folder takes. */
  readonly share: number;
  readonly of: string;
}

/** Runs the float model over one shard of the text. */
export function captureShard(
  source: Source,
  { shards, projections }: Pick<Calibration, 'shards' | 'projections'>,
  at: number,
  options: CaptureWindowsOptions,
  context: Context,
): Promise<Captured> {
  const { length } = shards;
  const of = length === 1 ? '' : ` of shard ${at + 1} of ${length}`;
  const part = { folder: shardFolder(at, length), share: 1 / length, of };
  return captureWindows(source, shards[at] as readonly Int32Array[], projections, { ...options, part }, context);
}

/** Runs the float model over random token ids. */
export const captureRandom = (
  source: Source,
  windows: readonly Int32Array[],
  projections: readonly Projection[],
  options: CaptureWindowsOptions,
  context: Context,
): Promise<Captured> => {
  const part = { folder: RANDOM_FOLDER, share: 1, of: ' of random token ids' };
  return captureWindows(source, windows, projections, { ...options, part }, context);
};

/** Runs the float model over windows for the inputs of `projections`, or opens what an earlier run kept. */
async function captureWindows(
  source: Source,
  windows: readonly Int32Array[],
  projections: readonly Projection[],
  options: CaptureWindowsOptions & { readonly part: Part },
  context: Context,
): Promise<Captured> {
  const { part, seed, recipe } = options;
  const { modelDigest = recipe.fisher && digestOfModel(source.model) } = options;
  const vectors = digestOfVectors(source);
  if (options.kept && modelDigest !== undefined) return openKept(windows, modelDigest, vectors, options);
  const memoryBytes = spareMemory(source, options.recipe, options.machine.memoryBytes);
  const machine = { ...options.machine, memoryBytes };
  const place = placeFor(projections, machine, part, recipe.fisher !== undefined);
  const wanted = new Set(projections);
  const facts = weightFacts(recipe, seed);
  const weightsBy = (known: WeightFacts): FisherWeights => {
    const { digest } = headerOfWindows(modelDigest ?? '', windows, { ...(vectors !== undefined && { vectors }) });
    const folder = join(place.folder ?? '', 'weights');
    return new FisherWeights({ source, recipe, windows, projections, machine, digest, folder }, known, context);
  };
  const statistics = await capture(source.model, source.analysis, windows, ortRuntime, {
    machine,
    scope: (projection) => wanted.has(projection),
    hints: readHints(source.path),
    ...(modelDigest !== undefined && { modelDigest }),
    ...(vectors !== undefined && { vectors }),
    inFloat64: inFloat64(recipe),
    weights: facts && weightsBy(facts),
    ...(place.folder !== undefined && { folder: place.folder }),
    signal: context.signal,
    log: context.log,
    onProgress: ({ segment, segments, done }) =>
      context.progress.update({
        stage: 'capture',
        done,
        total: 1,
        detail: `segment ${segment + 1} of ${segments}${part.of}`,
      }),
  }).catch((error: unknown) => {
    place.close();
    throw error;
  });
  return { statistics, close: place.close };
}

/** Statistics that are in the work folder. Error codes `statistics` and `damaged-file` where they are not. */
async function openKept(
  windows: readonly Int32Array[],
  modelDigest: string,
  vectors: string | undefined,
  { machine, part, recipe, seed }: CaptureWindowsOptions & { readonly part: Part },
): Promise<Captured> {
  const folder = keptIn(machine, part.folder) ?? fail('work-folder', part.folder, 'No work folder is given');
  const facts = weightFacts(recipe, seed);
  const header = headerOfWindows(modelDigest, windows, {
    inFloat64: inFloat64(recipe),
    weights: facts && { facts },
    ...(vectors !== undefined && { vectors }),
  });
  const statistics = await openStatistics(folder, header);
  return { statistics, close: () => undefined };
}

/** Digests of embedding models: shards of one source have the same, and all weights are read for it. */
const vectorsOf: WeakMap<Source, string> = new WeakMap();

/** Of the embedding model beside a decoder that takes vectors. */
function digestOfVectors(source: Source): string | undefined {
  const embedding = embeddingOf(source);
  if (embedding === undefined) return undefined;
  const digest = vectorsOf.get(source) ?? digestOfModel(importModel(embedding));
  vectorsOf.set(source, digest);
  return digest;
}

const inFloat64 = ({ capture }: Recipe): boolean => capture === 'float64';

/** What given statistics have to fit. */
type StatisticsOptions = Pick<CaptureWindowsOptions, 'recipe' | 'modelDigest'>;

/** Statistics from folders, added up. Fails with `statistics` when they are another model's or lack an input. */
export async function statisticsOf(
  source: Source,
  projections: readonly Projection[],
  folders: readonly string[],
  { recipe: { fisher }, modelDigest: model = digestOfModel(source.model) }: StatisticsOptions,
): Promise<Statistics> {
  for (const folder of folders) checkStatistics(folder);
  const parts = await Promise.all(folders.map((folder) => openStatistics(folder)));
  const strange = parts.findIndex(({ header }) => header.model !== model);
  if (strange >= 0)
    fail('statistics', folders[strange] as string, `the statistics were made from another model than ${source.path}`);
  const wanted = fisher && { kind: 'fisher' as const, ...fisher };
  for (const [at, { header }] of parts.entries()) requireWeights(header, wanted, folders[at] as string);
  const merged = mergeStatistics(parts);
  const missing = projections.find(({ group }) => !merged.groups.includes(group));
  if (missing !== undefined)
    fail('statistics', folders[0] as string, `the statistics lack the input of ${missing.id}, which is in scope`);
  return merged;
}

/** Where statistics are kept: in the work folder, else in memory, else, where they take more than is spare, in files until the end. */
function placeFor(
  projections: readonly Projection[],
  machine: Machine,
  { folder: name, share }: Part,
  isWeighted: boolean,
): { readonly folder: string | undefined; close(): void } {
  const stay = (): void => undefined;
  const kept = keptIn(machine, name);
  if (kept !== undefined) return { folder: kept, close: stay };
  const inputs = new Map(projections.map(({ group, k }) => [group, k]));
  const bytes = [...inputs.values()].reduce((sum, k) => sum + 8 * k * k, 0);
  if (!isWeighted && bytes <= share * machine.memoryBytes) return { folder: undefined, close: stay };
  const folder = temporaryFolder(TEXT, machine.temporary);
  return { folder, close: () => rmSync(folder, { recursive: true, force: true }) };
}
