/** The capture pass: one run of the float model over the calibration text, segment by segment, for the statistics of its inputs. */
import { createHash } from 'node:crypto';
import type { ModelAnalysis } from '../analysis/projection.js';
import type { Segment } from '../analysis/segments.js';
import { isRuntimeFailure } from '../diagnostics.js';
import type { Log } from '../log.js';
import type { Model } from '../onnx/ir/graph.js';
import type { Runtime } from '../runtime/runtime.js';
import type { Window } from '../text/index.js';
import { countText } from './evidence.js';
import type { Group } from './groups.js';
import { fittingParts } from './matrix-parts.js';
import { digestOfModel } from './model-digest.js';
import type { RowWeighting } from './row-weighting.js';
import { type RunnerOptions, SegmentRunner } from './segment-runner.js';
import {
  digestOfWindows,
  type GroupStatistics,
  headerOf,
  type Statistics,
  type StatisticsHeader,
  statisticsInMemory,
} from './statistics.js';
import { findStatistics, StatisticsFolder } from './statistics-files.js';
import type { Stream } from './stream.js';

export interface CaptureOptions extends RunnerOptions {
  /** Where the statistics are kept, and found again; without it they stay in memory. */
  readonly folder?: string;
  /** Digest of the model that makes the vectors of tokens, for a decoder that takes vectors. */
  readonly vectors?: string;
  /** Digest of the model, when it is known already. */
  readonly modelDigest?: string;
  /** Told of statistics that are there but damaged. */
  readonly log?: Log;
  readonly onProgress?: (progress: CaptureProgress) => void;
}

export interface CaptureProgress {
  readonly segment: number;
  readonly segments: number;
  /** Share of the whole pass that is done, by estimated work. */
  readonly done: number;
  /** Estimated seconds to go; undefined while too little is done to tell. */
  readonly secondsLeft: number | undefined;
}

/** Of token ids, and of what makes vectors of them where the decoder takes vectors. */
function digestOfText(windows: readonly Window[], vectors: string | undefined): string {
  const ids = digestOfWindows(windows);
  return vectors === undefined ? ids : createHash('sha256').update(`${ids} ${vectors}`).digest('hex');
}

/** Options that change statistics. */
type HeaderOptions = Pick<CaptureOptions, 'firstWeight' | 'inFloat64' | 'vectors'> & {
  readonly weights?: Pick<RowWeighting, 'facts'> | undefined;
};

/** What names the statistics of windows, before they are captured. */
export const headerOfWindows = (
  model: string,
  windows: readonly Window[],
  { firstWeight = 1, inFloat64 = false, vectors, weights }: HeaderOptions = {},
): StatisticsHeader =>
  headerOf({
    model,
    text: digestOfText(windows, vectors),
    windows: windows.length,
    tokens: windows.reduce((total, window) => total + window.length, 0),
    firstWeight,
    counts: countText(windows),
    ...(inFloat64 && { inFloat64 }),
    weights: weights?.facts,
  });

/**
 * Collects the statistics of every group, or finds them in the folder when model, text and version are those of an earlier
 * run; a run that was interrupted goes on where its last file was written. Without a fixed batch size, a model that cannot
 * run several windows at once is run window by window.
 */
export async function capture(
  model: Model,
  analysis: ModelAnalysis,
  windows: readonly Window[],
  runtime: Runtime,
  options: CaptureOptions = {},
): Promise<Statistics> {
  const header = headerOfWindows(options.modelDigest ?? digestOfModel(model), windows, options);
  const folder = options.folder === undefined ? undefined : new StatisticsFolder(options.folder, header);
  const run = async (more: RunnerOptions): Promise<Statistics> => {
    const runner = new SegmentRunner(model, analysis, windows, runtime, { ...options, ...more });
    try {
      const groups = runner.plan.groups.map((group) => group.id);
      const found = folder && (await findStatistics(folder.folder, header, options.log));
      if (found !== undefined && groups.every((group) => found.groups.includes(group))) return found;
      const kept = await captureAll(runner, folder, options);
      return folder === undefined ? statisticsInMemory(header, kept) : await folder.finish(groups);
    } finally {
      runner.close();
    }
  };
  try {
    return await run({});
  } catch (error) {
    const mayBeBatch = isRuntimeFailure(error) && options.batch === undefined;
    if (!mayBeBatch) throw error;
    return run({ batch: 1 });
  }
}

/** Runs the segments in turn; groups whose files are there already are not collected again. */
async function captureAll(
  runner: SegmentRunner,
  folder: StatisticsFolder | undefined,
  options: CaptureOptions,
): Promise<ReadonlyMap<string, GroupStatistics>> {
  const inMemory = new Map<string, GroupStatistics>();
  const missing = new Set<string>();
  for (const { id } of runner.plan.groups) if (!(await folder?.has(id, options.log))) missing.add(id);
  const report = progressOf(runner, options);
  const stream = runner.stream();
  for (const segment of runner.segments) {
    if (missing.size === 0) break;
    const open = runner.groupsIn(segment).filter(({ id }) => missing.has(id));
    const onBatch = (): void => report(segment);
    for await (const statistics of collect(runner, stream, open, { ...options, onBatch })) {
      if (folder === undefined) inMemory.set(statistics.group, statistics);
      else await folder.save(statistics);
      missing.delete(statistics.group);
    }
  }
  return inMemory;
}

/** The statistics of some groups of the segment that comes next, which is run again where their matrices are too many for the memory. */
async function* collect(
  runner: SegmentRunner,
  stream: Stream,
  groups: readonly Group[],
  { weights, machine, onBatch }: CaptureOptions & { readonly onBatch: () => void },
): AsyncGenerator<GroupStatistics> {
  const parts = weights === undefined ? [groups] : fittingParts(groups, machine?.memoryBytes);
  for (const [at, part] of parts.entries()) {
    const advance = at === parts.length - 1;
    yield* await runner.run(stream, { groups: part.map(({ id }) => id), advance, ...(advance && { onBatch }) });
  }
}

/** Share of the work from which the time to go can be told. */
const ENOUGH = 0.03;

/** Counts work by multiplications per token: the weights of a segment and the Gram matrices of its groups. */
function progressOf(runner: SegmentRunner, options: CaptureOptions): (segment: Segment) => void {
  const work = runner.segments.map((segment) => {
    const grams = runner.groupsIn(segment).reduce((total, { k }) => total + k * k, 0);
    const weights = runner.projectionsIn(segment).reduce((total, { k, n }) => total + k * n, 0);
    return grams + weights;
  });
  // A segment without products, such as the embedding, still takes about a hundredth of the time.
  const least = Math.max(1, ...work) / 100;
  const total = work.reduce((sum, each) => sum + Math.max(each, least), 0);
  const start = performance.now();
  let done = 0;
  return (segment) => {
    done = Math.min(1, done + Math.max(work[segment.index] ?? 0, least) / total / runner.batches.length);
    const seconds = (performance.now() - start) / 1000;
    const secondsLeft = done < ENOUGH ? undefined : (seconds / done) * (1 - done);
    options.onProgress?.({ segment: segment.index, segments: runner.segments.length, done, secondsLeft });
  };
}
