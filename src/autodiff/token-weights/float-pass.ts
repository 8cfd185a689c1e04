/** The float model forward and back, segment by segment: values at the cuts and their gradients wait in one store. */
import { join } from 'node:path';
import type { Execution } from '../../analysis/execution.js';
import type { Segment } from '../../analysis/segments.js';
import {
  ActivationStore,
  buildSegmentModel,
  type Edge,
  edgesOf,
  GraphFeeder,
  keepAllLogits,
  MemoryBudget,
  planCapture,
  SegmentFiles,
} from '../../capture/index.js';
import type { Value } from '../../onnx/ir/graph.js';
import { type Feeds, floats, type HostTensor, withSession } from '../../runtime/runtime.js';
import { adjointName, isFloat } from '../adjoint.js';
import { type DecoderHead, headOf } from '../decoder-head.js';
import { TrainingSession } from '../training-session.js';
import { countedPositions, type FilledBatch } from './filled-batches.js';
import { HeadBatch, requireRows } from './head-batch.js';
import { groupsOfOutputs } from './mean-square.js';
import { headPart, headRequest } from './sampled-head.js';
import { outputIn, segmentRequest, type Weighed } from './segment-gradient.js';
import type { TokenWeightsRequest } from './token-weights.js';

/** Logits of a call of the head: rows times vocabulary. */
const LOGITS = 2 ** 24;
const MOST_ROWS = 512;

export class FloatPass {
  readonly #request: TokenWeightsRequest;
  readonly #batches: readonly FilledBatch[];
  readonly #folder: string;
  readonly #execution: Execution;
  readonly #segments: readonly Segment[];
  readonly #head: DecoderHead;
  readonly #feeder: GraphFeeder;
  readonly #store: ActivationStore;
  #done = 0;

  /** `folder` is made for this pass. */
  constructor(request: TokenWeightsRequest, batches: readonly FilledBatch[], folder: string) {
    const { model, analysis, machine, hints } = request;
    this.#request = request;
    this.#batches = batches;
    this.#folder = folder;
    this.#head = headOf(model, analysis, planCapture(model, analysis).execution);
    const { maxWeightBytes } = request;
    const bound = maxWeightBytes === undefined ? {} : { maxWeightBytes };
    const plan = planCapture(model, analysis, { scope: () => false, targets: [this.#head.hidden], ...bound });
    this.#execution = plan.execution;
    this.#segments = plan.segments;
    this.#feeder = new GraphFeeder(model, analysis, hints);
    this.#store = new ActivationStore(join(folder, 'values'), new MemoryBudget(machine.memoryBytes / 4));
  }

  /** Keeps the values at the cuts, and the last hidden states. */
  async forward(): Promise<void> {
    const { model, runtime, machine } = this.#request;
    for (const segment of this.#segments) {
      const extra = segment.targets.filter((value) => !segment.liveOut.includes(value));
      const shared = { execution: this.#execution, grams: [], carry: true, weighted: false, replaced: new Map() };
      const part = buildSegmentModel(model, { ...shared, segment, extra });
      await this.#withFiles(`forward-${segment.index}`, (files) =>
        withSession(runtime, files.write(part.model), { threads: machine.threads }, async (session) => {
          for (const batch of this.#batches) {
            const feeds = await this.#feeds(part.graphInputs, segment.liveIn, batch);
            const outputs = await session.run(feeds);
            for (const { name, value } of [...part.liveOut, ...part.extra])
              await this.#store.put(value.name, batch.index, outputs[name] as HostTensor);
            this.#report(1);
          }
        }),
      );
    }
  }

  /** Gradients by the last hidden states, and the weights of the head where they are wanted. */
  async head(weighed: readonly Weighed[]): Promise<void> {
    const { model, runtime, machine, save, draws } = this.#request;
    const { hidden, projection } = this.#head;
    const first = await this.#value(hidden, this.#batches[0] as FilledBatch);
    const rank = first.dims.length;
    const part = headPart(this.#execution, this.#head);
    const most = Math.min(MOST_ROWS, first.data.length / projection.k);
    const rows = Math.max(1, Math.min(most, Math.floor(LOGITS / projection.n)));
    const weights = new Float32Array(draws.length);
    await this.#withFiles('head', async (files) => {
      const form = { rank, isWeighed: weighed.length > 0 };
      const request = headRequest(model, this.#execution, this.#head, part, form);
      let session: TrainingSession | undefined;
      try {
        for (const batch of this.#batches) {
          const graph = await this.#feeds(edgesOf(part.graphInputs, this.#execution.resolve), [], batch);
          const found = new HeadBatch(await this.#value(hidden, batch), batch, projection.k, draws);
          for (let start = 0; start < found.rows; start += rows) {
            const feeds = { ...graph, ...found.feeds(hidden.name, start, rows, rank) };
            session ??= await TrainingSession.open(runtime, request, feeds, { threads: machine.threads, files });
            const { gradients } = await session.step(feeds);
            found.take(start, gradients as readonly [Float32Array, Float32Array?]);
          }
          await this.#store.put(adjointName(hidden), batch.index, floats(found.gradient, found.dims));
          countedPositions(batch, (inBatch, inText) => {
            weights[inText] = found.squares[inBatch] as number;
          });
          this.#report(1);
        }
      } finally {
        await session?.close();
      }
    });
    for (const each of weighed) save(each.projection, weights);
  }

  /** Hands out the weights of projections, the last segment's first. */
  async backward(weighed: readonly Weighed[]): Promise<void> {
    const own = this.#segments.map((segment) => weighed.filter((each) => outputIn(each.projection, segment)));
    const first = own.findIndex((each) => each.length > 0);
    for (const segment of this.#segments.toReversed()) {
      if (first < 0 || segment.index < first) break;
      await this.#back(segment, own[segment.index] as readonly Weighed[], segment.index > first);
      for (const value of [...segment.liveOut, ...segment.targets]) {
        await this.#store.drop(value.name);
        await this.#store.drop(adjointName(value));
      }
    }
  }

  async close(): Promise<void> {
    await this.#feeder.close();
    await this.#store.close();
  }

  async #back(segment: Segment, weighed: readonly Weighed[], goesBack: boolean): Promise<void> {
    const { model, runtime, machine, save, draws } = this.#request;
    const execution = this.#execution;
    const values = [...new Set([...segment.liveOut, ...segment.targets])].filter((value) => isFloat(value, execution));
    const carried = goesBack ? segment.liveIn.filter((value) => isFloat(value, execution)) : [];
    const found = weighed.map(({ projection, groups }) => {
      const width = groupsOfOutputs(projection.n, groups).length;
      return { projection, width, weights: new Float32Array(draws.length * width) };
    });
    await this.#withFiles(`backward-${segment.index}`, async (files) => {
      let session: TrainingSession | undefined;
      try {
        for (const batch of this.#batches) {
          const adjoints = await this.#adjoints(values, batch);
          const feeds = {
            ...(await this.#feeds(edgesOf(segment.graphInputs, execution.resolve), segment.liveIn, batch)),
            ...adjoints,
          };
          const given = new Map(values.map((value) => [value, adjoints[adjointName(value)]?.dims ?? []]));
          const request = segmentRequest({ model, execution, segment, weighed, given, carried });
          session ??= await TrainingSession.open(runtime, request, feeds, { threads: machine.threads, files });
          const { gradients } = await session.step(feeds);
          for (const [at, value] of carried.entries()) await this.#add(value, batch, gradients[at] as Float32Array);
          found.forEach(({ projection, width, weights }, at) => {
            const squares = gradients[carried.length + at] as Float32Array;
            requireRows(projection.id, squares.length / width, batch);
            countedPositions(batch, (inBatch, inText) => {
              weights.set(squares.subarray(inBatch * width, (inBatch + 1) * width), inText * width);
            });
          });
          this.#report(3);
        }
      } finally {
        await session?.close();
      }
    });
    for (const { projection, weights } of found) save(projection, weights);
  }

  /** Gradients by what a segment gives; nothing came back for a value that only reaches logits nobody reads. */
  async #adjoints(values: readonly Value[], batch: FilledBatch): Promise<Record<string, HostTensor>> {
    const feeds: Record<string, HostTensor> = {};
    for (const value of values) {
      const name = adjointName(value);
      const { dims, data } = await this.#value(value, batch);
      feeds[name] = this.#store.has(name, batch.index)
        ? ((await this.#store.get(name, batch.index)) as HostTensor)
        : floats(new Float32Array(data.length), dims);
    }
    return feeds;
  }

  /** Adds to the gradient by a value, which several segments may read. */
  async #add(value: Value, batch: FilledBatch, gradient: Float32Array): Promise<void> {
    const name = adjointName(value);
    const { dims } = await this.#value(value, batch);
    if (this.#store.has(name, batch.index)) {
      const { data } = await this.#store.get(name, batch.index);
      (data as Float32Array).forEach((each, at) => {
        gradient[at] = (gradient[at] as number) + each;
      });
      this.#store.release(name, batch.index);
    }
    await this.#store.put(name, batch.index, floats(gradient, dims));
  }

  async #value(value: Value, batch: FilledBatch): Promise<HostTensor> {
    return (await this.#store.get(value.name, batch.index)) as HostTensor;
  }

  /** Inputs of the model for every position, and values of earlier segments. */
  async #feeds(edges: readonly Edge[], liveIn: readonly Value[], batch: FilledBatch): Promise<Feeds> {
    const feeds = await this.#feeder.read(edges, batch);
    keepAllLogits(feeds);
    for (const value of liveIn) feeds[value.name] = await this.#value(value, batch);
    return feeds;
  }

  async #withFiles(name: string, use: (files: SegmentFiles) => Promise<void>): Promise<void> {
    const files = new SegmentFiles(join(this.#folder, name));
    try {
      await use(files);
    } finally {
      files.close();
    }
  }

  /** Counts passes of one segment or the head over one batch, back as three. */
  #report(passes: number): void {
    const { signal, onProgress } = this.#request;
    signal?.throwIfAborted();
    this.#done += passes;
    onProgress?.(Math.min(1, this.#done / ((4 * this.#segments.length + 1) * this.#batches.length)));
  }
}
