/**
 * Runs a model segment by segment over windows of text. A stream is the state of one run between two segments; several streams
 * go through the same segments side by side: the float model's, and that of a model whose earlier layers are quantized.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { ModelAnalysis, Projection } from '../analysis/projection.js';
import type { Segment } from '../analysis/segments.js';
import { fail } from '../diagnostics.js';
import type { Model, Value } from '../ir/graph.js';
import type { Tensor } from '../ir/tensor.js';
import type { DecoderHints } from '../runtime/hints.js';
import { type Feeds, floats, type HostTensor, type Outputs, type Runtime, type Session } from '../runtime/runtime.js';
import { type Batch, batchesOf, rowScaleOf, type Window, weightOf } from './batches.js';
import { denseTensor } from './dense-tensor.js';
import { GramAccumulator } from './gram.js';
import { GraphFeeder } from './graph-feeds.js';
import { type Group, type Plan, type PlanOptions, planCapture } from './groups.js';
import { SegmentFiles } from './segment-files.js';
import { buildSegmentModel, type Edge, type SegmentModel } from './segment-model.js';
import { ActivationStore, MemoryBudget } from './spill.js';
import type { GroupStatistics } from './statistics.js';

export interface RunnerOptions extends PlanOptions {
  readonly threads?: number;
  /** Bytes of activations to hold in memory; more go to files. Default 1 GiB. */
  readonly memoryBytes?: number;
  /** Where the temporary folder is made; default the system's. */
  readonly workDir?: string;
  /** Windows in a batch; default as many as make 2,048 tokens. */
  readonly batch?: number;
  /** Weight of the first position of every window in the statistics; default 1. */
  readonly firstWeight?: number;
  /** Facts about the caches that the graph leaves open. */
  readonly hints?: DecoderHints;
  readonly signal?: AbortSignal;
}

/** The values alive between two segments, for all batches. Made by `SegmentRunner.stream`. */
export interface Stream {
  /** The segment that comes next. */
  readonly next: number;
  close(): Promise<void>;
}

/** Ŵ [N, K] row-major in place of a projection's weight; undefined keeps the weight. */
export type Override = (projection: Projection) => Float32Array | undefined;

export interface RunRequest {
  /** Groups to collect statistics for; default all of the segment. */
  readonly groups?: readonly string[];
  /** Weights to use instead of the model's. */
  readonly override?: Override;
  /** Carry the stream over this segment; default true. Without, the segment can be run again. */
  readonly advance?: boolean;
  /**
   * The float stream at the same segment: also collects Xᵀ X_float. It runs with the model's own weights and goes on when this
   * stream does.
   */
  readonly reference?: Stream;
  /** Values of the segment to hand out, batch by batch. */
  readonly extra?: readonly Value[];
  readonly onBatch?: (batch: Batch, extra: ReadonlyMap<Value, HostTensor>) => void;
}

const DEFAULT_MEMORY = 2 ** 30;

class LiveStream implements Stream {
  next = 0;
  readonly store: ActivationStore;

  constructor(store: ActivationStore) {
    this.store = store;
  }

  close(): Promise<void> {
    return this.store.close();
  }
}

/** A session over one segment's model, with what its inputs and outputs mean. */
interface Opened {
  readonly session: Session;
  readonly model: SegmentModel;
  readonly stream: LiveStream;
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
    this.plan = planCapture(model, analysis, options);
    this.batches = batchesOf(windows, options.batch ?? staticBatch(model));
    this.#model = model;
    this.#analysis = analysis;
    this.#runtime = runtime;
    this.#feeder = new GraphFeeder(model, analysis, options.hints);
    this.#options = options;
    this.#budget = new MemoryBudget(options.memoryBytes ?? DEFAULT_MEMORY);
    this.#folder = mkdtempSync(join(options.workDir ?? tmpdir(), 'matquant-segments-'));
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
    this.#files?.files.close();
    this.#files = undefined;
    rmSync(this.#folder, { recursive: true, force: true });
  }

  /** Runs the segment that comes next for `stream` over all windows; returns the statistics of the groups asked for. */
  async run(stream: Stream, request: RunRequest = {}): Promise<readonly GroupStatistics[]> {
    const live = stream as LiveStream;
    const reference = request.reference as LiveStream | undefined;
    const segment = this.segments[live.next] ?? fail('bad-usage', 'stream', 'the stream is at its end');
    if (reference !== undefined && reference.next !== live.next)
      throw new Error('the streams are at different segments');
    const opened: Opened[] = [];
    try {
      if (reference !== undefined)
        opened.push(await this.#open(segment, reference, this.#referenceRequest(segment, request)));
      opened.push(await this.#open(segment, live, this.#request(segment, request)));
      const statistics = await this.#runBatches(segment, opened, request);
      if (request.advance !== false) for (const { stream: each } of opened) await advance(each, segment);
      return statistics;
    } finally {
      for (const { session } of opened) await session.close();
    }
  }

  async #runBatches(
    segment: Segment,
    opened: readonly Opened[],
    request: RunRequest,
  ): Promise<readonly GroupStatistics[]> {
    const main = opened.at(-1) as Opened;
    const grams = main.model.grams.map((names) => new GramAccumulator(names));
    for (const batch of this.batches) {
      this.#options.signal?.throwIfAborted();
      const other = opened.length > 1 ? await this.#runOne(opened[0] as Opened, batch, {}) : undefined;
      const outputs = await this.#runOne(
        main,
        batch,
        other === undefined ? {} : crossFeeds(main.model, opened[0] as Opened, other),
      );
      for (const gram of grams) gram.add(outputs, weightOf(batch, this.#firstWeight));
      if (request.onBatch !== undefined) request.onBatch(batch, pick(main.model.extra, outputs));
      if (request.advance === false) continue;
      await keep(main, segment, batch, outputs);
      if (other !== undefined) await keep(opened[0] as Opened, segment, batch, other);
    }
    return grams.map((gram) => gram.finish());
  }

  async #runOne({ session, model, stream }: Opened, batch: Batch, more: Feeds): Promise<Outputs> {
    const feeds = { ...this.#feeder.feeds(model.graphInputs, batch), ...more };
    for (const { name, value } of model.liveIn) {
      feeds[name] = (await stream.store.get(value.name, batch.index)) as HostTensor;
    }
    if (model.rowScale !== undefined) {
      const scale = rowScaleOf(batch, this.#firstWeight);
      feeds[model.rowScale] = floats(scale, [scale.length, 1]);
    }
    return session.run(feeds);
  }

  get #firstWeight(): number {
    return this.#options.firstWeight ?? 1;
  }

  async #open(segment: Segment, stream: LiveStream, part: ModelRequest): Promise<Opened> {
    const model = buildSegmentModel(this.#model, {
      segment,
      execution: this.plan.execution,
      weighted: this.#firstWeight !== 1,
      ...part,
    });
    const path = this.#filesOf(segment).write(model.model);
    const threads = this.#options.threads;
    const session = await this.#runtime.open(path, threads === undefined ? {} : { threads });
    return { session, model, stream };
  }

  /** One set of files at a time: those of the segment before are removed. */
  #filesOf(segment: Segment): SegmentFiles {
    if (this.#files?.segment !== segment.index) {
      this.#files?.files.close();
      this.#files = { segment: segment.index, files: new SegmentFiles(join(this.#folder, `segment-${segment.index}`)) };
    }
    return this.#files.files;
  }

  #request(segment: Segment, request: RunRequest): ModelRequest {
    const asked = this.groupsIn(segment).filter((group) => request.groups?.includes(group.id) ?? true);
    const cross = request.reference !== undefined;
    const replaced = new Map<Value, Tensor>();
    for (const projection of request.override === undefined ? [] : this.projectionsIn(segment)) {
      const data = request.override?.(projection);
      if (data !== undefined) replaced.set(projection.weight.source, denseTensor(projection, data));
    }
    return {
      grams: asked.map((group) => ({ group: group.id, input: group.input, k: group.k, cross })),
      extra: request.extra ?? [],
      carry: request.advance !== false,
      replaced,
    };
  }

  /** The float side: the inputs of the groups as they are. */
  #referenceRequest(segment: Segment, request: RunRequest): ModelRequest {
    const { grams } = this.#request(segment, { ...request, override: () => undefined });
    return { grams: [], extra: grams.map((gram) => gram.input), carry: request.advance !== false, replaced: new Map() };
  }
}

/** The number of windows that a model with a fixed batch dimension takes. */
function staticBatch(model: Model): number | undefined {
  const batch = model.graph.inputs.find(({ name }) => name === 'input_ids')?.type?.shape?.[0];
  return typeof batch === 'number' && batch > 0 ? batch : undefined;
}

type ModelRequest = Pick<Parameters<typeof buildSegmentModel>[1], 'grams' | 'extra' | 'carry' | 'replaced'>;

async function keep({ model, stream }: Opened, segment: Segment, batch: Batch, outputs: Outputs): Promise<void> {
  for (const value of segment.retired) stream.store.release(value.name, batch.index);
  for (const [value, tensor] of pick(model.liveOut, outputs)) await stream.store.put(value.name, batch.index, tensor);
}

async function advance(stream: LiveStream, segment: Segment): Promise<void> {
  for (const value of segment.retired) await stream.store.drop(value.name);
  stream.next++;
}

function pick(edges: readonly Edge[], outputs: Outputs): ReadonlyMap<Value, HostTensor> {
  return new Map(
    edges.map(({ name, value }) => [
      value,
      outputs[name] ?? fail('runtime-failed', name, 'the runtime left an output out'),
    ]),
  );
}

/** X_float of the reference run, as rows, for the inputs of the cross products. */
function crossFeeds(model: SegmentModel, reference: Opened, outputs: Outputs): Feeds {
  const found = [...pick(reference.model.extra, outputs).values()];
  return Object.fromEntries(
    model.grams.map(({ k, cross }, at) => {
      const { data } = found[at] as HostTensor;
      return [cross?.input ?? '', floats(data as Float32Array, [data.length / k, k])];
    }),
  );
}
