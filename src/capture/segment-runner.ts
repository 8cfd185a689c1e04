/**
 * Runs a model segment by segment over windows of text. A stream is the state of one run between two segments; several streams
 * go through the same segments side by side: the float model's, and that of a model whose earlier layers are quantized.
 */

import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { fixedShapeOf } from '../analysis/fixed-shape.js';
import type { ModelAnalysis, Projection } from '../analysis/projection.js';
import type { Segment } from '../analysis/segments.js';
import { fail } from '../diagnostics.js';
import type { Machine } from '../files/machine.js';
import { temporaryFolder } from '../files/temporary.js';
import type { Model } from '../onnx/ir/graph.js';
import type { DecoderHints } from '../runtime/hints.js';
import type { Feeds, Outputs, Runtime, Session } from '../runtime/runtime.js';
import { type Batch, batchesOf, rowScaleOf, type Window, weightOf } from '../text/index.js';
import { GramAccumulator, type StreamStatistics } from './gram.js';
import { GraphFeeder } from './graph-feeds.js';
import { type Group, type Plan, type PlanOptions, planCapture } from './groups.js';
import { floatsOf, openSegment } from './open-segment.js';
import { roundStatistics } from './round-statistics.js';
import { type RowWeighting, startOfEach, type WeightedRows, weightsOfBatch } from './row-weighting.js';
import { SegmentFiles } from './segment-files.js';
import { buildSegmentModel, type SegmentModel } from './segment-model.js';
import {
  floatFeeds,
  type ModelRequest,
  modelRequest,
  pick,
  type RunRequest,
  referenceRequest,
} from './segment-request.js';
import { ActivationStore, MemoryBudget } from './spill.js';
import { LiveStream, type Stream } from './stream.js';

export type { Stream } from './stream.js';

export interface RunnerOptions extends PlanOptions {
  /** Its memory is for activations, 1 GiB by default; more go to files. */
  readonly machine?: Machine;
  /** Windows in a batch; default as many as make 2,048 tokens. */
  readonly batch?: number;
  /** Weight of the first position of every window in the statistics; default 1. */
  readonly firstWeight?: number;
  /** Compute in float64 and round the statistics, so that they are the same on every processor; see `roundStatistics`. */
  readonly inFloat64?: boolean;
  /** Weights of the rows in the statistics, each input in several matrices where it says so; all alike without. */
  readonly weights?: RowWeighting | undefined;
  /** Facts about the caches that the graph leaves open. */
  readonly hints?: DecoderHints;
  readonly signal?: AbortSignal;
}

const DEFAULT_MEMORY = 2 ** 30;

/** A session over one segment's model, with what its inputs and outputs mean. */
interface Opened {
  readonly session: Session;
  readonly model: SegmentModel;
  readonly stream: LiveStream;
  /** Weights of rows by Gram matrix. */
  readonly weights: ReadonlyMap<string, WeightedRows>;
}

export class SegmentRunner {
  readonly plan: Plan;
  readonly batches: readonly Batch[];
  readonly #model: Model;
  readonly #analysis: ModelAnalysis;
  readonly #runtime: Runtime;
  readonly #options: RunnerOptions;
  readonly #feeder: GraphFeeder;
  readonly #folder: string;
  readonly #budget: MemoryBudget;
  readonly #starts: ReadonlyMap<Window, number>;
  #streams = 0;
  #files: { readonly segment: number; readonly files: SegmentFiles } | undefined;

  constructor(
    model: Model,
    analysis: ModelAnalysis,
    windows: readonly Window[],
    runtime: Runtime,
    options: RunnerOptions = {},
  ) {
    if (windows.length === 0) fail('empty-text', 'calibration text', 'there is no window to run');
    const plan = planCapture(model, analysis, options);
    const { weights } = options;
    this.plan =
      weights === undefined
        ? plan
        : { ...plan, groups: plan.groups.flatMap((group) => weights.matrices(group).map((id) => ({ ...group, id }))) };
    this.#starts = startOfEach(weights === undefined ? [] : windows);
    this.batches = batchesOf(windows, options.batch ?? fixedShapeOf(model).batch);
    this.#model = model;
    this.#analysis = analysis;
    this.#runtime = runtime;
    this.#feeder = new GraphFeeder(model, analysis, options.hints);
    this.#options = options;
    this.#budget = new MemoryBudget(options.machine?.memoryBytes ?? DEFAULT_MEMORY);
    this.#folder = temporaryFolder('segments', options.machine?.temporary);
  }

  get segments(): readonly Segment[] {
    return this.plan.segments;
  }

  /** The groups whose input is made in a segment. */
  groupsIn(segment: Segment): readonly Group[] {
    return this.plan.groups.filter((group) => segment.targets.includes(group.input));
  }

  /** The projections that run in a segment; those that no later group depends on run nowhere. */
  projectionsIn(segment: Segment): readonly Projection[] {
    const nodes = new Set(segment.nodes);
    return this.#analysis.projections.filter(({ sites }) => sites.some(({ node }) => nodes.has(node)));
  }

  /** A stream at the first segment. */
  stream(): Stream {
    return new LiveStream(new ActivationStore(join(this.#folder, `stream-${this.#streams++}`), this.#budget));
  }

  /** Removes the temporary folder with everything in it. */
  close(): void {
    this.#feeder.close().catch(() => undefined);
    this.#files?.files.close();
    this.#files = undefined;
    rmSync(this.#folder, { recursive: true, force: true });
  }

  /** Runs the segment that comes next for `stream` over all windows; returns the statistics of the groups asked for. */
  async run(stream: Stream, request: RunRequest = {}): Promise<readonly StreamStatistics[]> {
    const segment = this.segments[stream.next] ?? fail('bad-usage', 'stream', 'the stream is at its end');
    const { reference } = request;
    if (reference !== undefined && reference.next !== stream.next)
      throw new Error('the streams are at different segments');
    const pair: Opened[] = [];
    try {
      const main = await this.#open(
        segment,
        stream as LiveStream,
        modelRequest(this.groupsIn(segment), this.projectionsIn(segment), request, this.#options.weights !== undefined),
      );
      pair.push(main);
      if (reference === undefined) return await this.#runBatches(segment, main, undefined, request);
      const side = await this.#open(
        segment,
        reference as LiveStream,
        referenceRequest(this.groupsIn(segment), request),
      );
      pair.push(side);
      return await this.#runBatches(segment, main, side, request);
    } finally {
      for (const { session } of pair) await session.close();
    }
  }

  async #runBatches(
    segment: Segment,
    main: Opened,
    side: Opened | undefined,
    request: RunRequest,
  ): Promise<readonly StreamStatistics[]> {
    const grams = main.model.grams.map((names) => new GramAccumulator(names));
    const finished = (gram: GramAccumulator): StreamStatistics => {
      const found = gram.finish();
      const mean = main.weights.get(found.group)?.mean;
      const statistics = mean === undefined ? found : { ...found, weight: mean };
      return this.#inFloat64 ? roundStatistics(statistics) : statistics;
    };
    const advancing = request.advance !== false;
    for (const batch of this.batches) {
      this.#options.signal?.throwIfAborted();
      const sideOutputs = side && (await this.#runOne(side, batch, {}));
      const float = side && sideOutputs ? floatFeeds(main.model, pick(side.model.extra, sideOutputs)) : {};
      const outputs = await this.#runOne(main, batch, float);
      for (const gram of grams) gram.add(outputs, weightOf(batch, this.#firstWeight));
      request.onBatch?.(batch, pick(main.model.extra, outputs));
      if (!advancing) continue;
      await main.stream.carry(segment, batch, pick(main.model.liveOut, outputs));
      if (sideOutputs) await side.stream.carry(segment, batch, pick(side.model.liveOut, sideOutputs));
    }
    if (advancing) await main.stream.advance(segment);
    if (advancing) await side?.stream.advance(segment);
    return grams.map(finished);
  }

  async #runOne({ session, model, stream, weights }: Opened, batch: Batch, more: Feeds): Promise<Outputs> {
    const feeds = { ...(await this.#feeder.read(model.graphInputs, batch)), ...more };
    for (const { name, value } of model.liveIn) feeds[name] = await stream.read(value, batch);
    if (model.rowScale !== undefined) {
      const scale = rowScaleOf(batch, this.#firstWeight);
      feeds[model.rowScale] = floatsOf(scale, [scale.length, 1], this.#inFloat64);
    }
    for (const { group, rowScale } of model.grams) {
      if (rowScale === undefined) continue;
      const roots = this.#rowWeights(weights.get(group) as WeightedRows, batch).map(Math.sqrt);
      feeds[rowScale] = floatsOf(roots, [roots.length, 1], this.#inFloat64);
    }
    return session.run(feeds);
  }

  /** Weights of the rows of a batch in one matrix. */
  #rowWeights(rows: WeightedRows, { windows, length }: Batch): Float32Array {
    const own = weightsOfBatch(windows, length, rows, this.#starts);
    for (let at = 0; at < own.length; at += length) own[at] = (own[at] as number) * this.#firstWeight;
    return own;
  }

  get #firstWeight(): number {
    return this.#options.firstWeight ?? 1;
  }

  get #inFloat64(): boolean {
    return this.#options.inFloat64 ?? false;
  }

  async #open(segment: Segment, stream: LiveStream, part: ModelRequest): Promise<Opened> {
    const model = buildSegmentModel(this.#model, {
      segment,
      execution: this.plan.execution,
      weighted: this.#firstWeight !== 1,
      inFloat64: this.#inFloat64,
      ...part,
    });
    const weights = new Map<string, WeightedRows>();
    for (const { group, rowScale } of model.grams)
      if (rowScale !== undefined) weights.set(group, (await this.#options.weights?.rows(group)) as WeightedRows);
    const path = this.#filesOf(segment).write(model.model);
    const threads = this.#options.machine?.threads;
    const session = await openSegment(this.#runtime, path, { threads, inFloat64: this.#inFloat64 });
    return { session, model, stream, weights };
  }

  /** One set of files at a time: those of the segment before are removed. */
  #filesOf(segment: Segment): SegmentFiles {
    if (this.#files?.segment !== segment.index) {
      this.#files?.files.close();
      this.#files = { segment: segment.index, files: new SegmentFiles(join(this.#folder, `segment-${segment.index}`)) };
    }
    return this.#files.files;
  }
}
