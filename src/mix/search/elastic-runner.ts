/**
 * Runs a set at any mix of precisions over a few windows. Segments before the first layer that changes give what they gave for
 * the mix before, so their outputs are kept for one mix, the base, and a neighbour of it is run from where it differs.
 */

import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { fixedShapeOf } from '../../analysis/fixed-shape.js';
import { buildSegmentModel, GraphFeeder, SegmentFiles, type SegmentModel } from '../../capture/index.js';
import { fail } from '../../diagnostics.js';
import { type Logits, logitsOf } from '../../evaluate/index.js';
import type { Machine } from '../../files/machine.js';
import { temporaryFolder } from '../../files/temporary.js';
import type { Value } from '../../onnx/ir/graph.js';
import type { Tensor } from '../../onnx/ir/tensor.js';
import { effectiveBits, type ProjectionPlace } from '../../quant/layout.js';
import type { DecoderHints } from '../../runtime/hints.js';
import { counts, type Feeds, floats, type HostTensor, type Runtime, type Session } from '../../runtime/runtime.js';
import type { Batch } from '../../text/index.js';
import { type ElasticGraph, type ElasticSegment, elasticRows, type WeightsAt } from './elastic-graph.js';
import { Recent } from './recent.js';
import type { Mix } from './types.js';

export interface ElasticOptions {
  readonly graph: ElasticGraph;
  readonly weights: WeightsAt;
  readonly windows: readonly ArrayLike<number>[];
  readonly runtime: Runtime;
  /** Sessions and decoded weights take half of its memory each. */
  readonly machine: Machine;
  readonly hints: DecoderHints;
  readonly signal: AbortSignal;
}

/** Values alive between two segments. */
type State = ReadonlyMap<Value, HostTensor>;

interface OpenSegment {
  readonly session: Session;
  readonly model: SegmentModel;
  readonly files: SegmentFiles;
}

/** A mix whose outputs are kept: by window, what enters each segment. */
interface Base {
  readonly keys: readonly string[];
  readonly states: readonly (readonly State[])[];
}

/** Session memory per byte of weights: MatMul packs its constant operand. */
const SESSION_FACTOR = 2;

export class ElasticRunner {
  readonly #options: ElasticOptions;
  readonly #folder: string;
  readonly #feeder: GraphFeeder;
  readonly #batches: readonly Batch[];
  /** Times a window is repeated: a model may take batches of one size only. */
  readonly #texts: number;
  readonly #sessions: Recent<OpenSegment>;
  readonly #weights: Recent<Float32Array>;
  #serial = 0;
  #head: Tensor | undefined;
  #base: Base | undefined;
  /** Segments that were run, for those who want to know what was saved. */
  segmentRuns = 0;

  constructor(options: ElasticOptions) {
    this.#options = options;
    this.#folder = temporaryFolder('elastic', options.machine.temporary);
    this.#feeder = new GraphFeeder(options.graph.model, options.graph.analysis, options.hints);
    this.#texts = fixedShapeOf(options.graph.model).batch ?? 1;
    const batchOf = (window: ArrayLike<number>) => Array<ArrayLike<number>>(this.#texts).fill(window);
    this.#batches = options.windows.map((each, index) => ({ index, windows: batchOf(each), length: each.length }));
    this.#sessions = new Recent(options.machine.memoryBytes / 2, closeSegment);
    this.#weights = new Recent(options.machine.memoryBytes / 2);
  }

  /** Logits of a window at a mix; the base, if there is one, saves the segments before the first difference. */
  async logits(window: number, mix: Mix): Promise<Logits> {
    const keys = this.#keysOf(mix);
    const differs = this.#base === undefined ? 0 : keys.findIndex((key, at) => key !== this.#base?.keys[at]);
    const from = differs < 0 ? keys.length - 1 : differs;
    const state = this.#base?.states[window]?.[from] ?? new Map();
    return this.#run(window, mix, from, state);
  }

  /** Makes a mix the base: its logits are handed out window by window, and later mixes are run from where they differ. */
  async rebase(mix: Mix, onLogits: (window: number, logits: Logits) => Promise<void> = async () => {}): Promise<void> {
    const keys = this.#keysOf(mix);
    const old = this.#base;
    const differs = old === undefined ? 0 : keys.findIndex((key, at) => key !== old.keys[at]);
    const from = differs < 0 ? keys.length - 1 : differs;
    const states: State[][] = [];
    for (const window of this.#batches.keys()) {
      const own: State[] = [...(old?.states[window]?.slice(0, from + 1) ?? [new Map()])];
      const logits = await this.#run(window, mix, from, own[from] ?? new Map(), (state) => own.push(state));
      states.push(own);
      await onLogits(window, logits);
    }
    this.#base = { keys, states };
  }

  /** From now on the head has the rows of `head` only. */
  async restrictHead(head: Tensor): Promise<void> {
    this.#head = head;
    await this.#sessions.clear();
  }

  async close(): Promise<void> {
    await this.#sessions.clear();
    await this.#weights.clear();
    await this.#feeder.close();
    rmSync(this.#folder, { recursive: true, force: true });
  }

  /** What decides the outputs of each segment beside its inputs. */
  #keysOf(mix: Mix): readonly string[] {
    return this.#options.graph.segments.map(({ weights }) => weights.map(({ place }) => bitsIn(mix, place)).join());
  }

  async #run(
    window: number,
    mix: Mix,
    from: number,
    start: State,
    onState: (state: State) => void = () => {},
  ): Promise<Logits> {
    const { graph, signal } = this.#options;
    let state = start;
    for (let at = from; at < graph.segments.length; at++) {
      signal.throwIfAborted();
      const part = graph.segments[at] as ElasticSegment;
      const { model, outputs } = await this.#runSegment(part, this.#batches[window] as Batch, state, mix);
      if (at === graph.segments.length - 1) {
        const edge = model.extra.find(({ value }) => value === graph.logits);
        const found = edge && outputs[edge.name];
        return logitsOf(
          found ?? fail('unsupported-model', 'logits', 'The last segment does not make the logits'),
          'logits',
          this.#texts,
        );
      }
      state = nextState(state, part, model, outputs);
      onState(state);
    }
    return fail('unsupported-model', 'logits', 'The model has no segments');
  }

  async #runSegment(
    part: ElasticSegment,
    batch: Batch,
    state: State,
    mix: Mix,
  ): Promise<{ model: SegmentModel; outputs: Feeds }> {
    const { session, model } = await this.#open(part);
    const owned = new Map(part.weights.map(({ value, place }) => [value, place]));
    const inputs = model.graphInputs.filter(({ value }) => !owned.has(value));
    const feeds: Record<string, HostTensor> = await this.#feeder.read(inputs, batch);
    // The feeder asks for the last logits only; all of them are wanted here.
    for (const { name, value, dtype } of inputs) {
      const kept = /^(num_)?logits_to_keep$/.test(value.name) && counts(dtype, [batch.length], feeds[name]?.dims ?? []);
      if (kept) feeds[name] = kept;
    }
    for (const { name, value } of model.graphInputs) {
      const place = owned.get(value);
      if (place !== undefined) feeds[name] = floats(await this.#weightsOf(place, mix), [elasticRows(place), place.n]);
    }
    for (const { name, value } of model.liveIn) {
      feeds[name] = state.get(value) ?? fail('unsupported-model', value.name, 'A segment needs what no other made');
    }
    this.segmentRuns++;
    return { model, outputs: await session.run(feeds) };
  }

  #weightsOf(place: ProjectionPlace, mix: Mix): Promise<Float32Array> {
    const bits = bitsIn(mix, place);
    return this.#weights.get(`${place.id} ${bits}`, 4 * place.k * place.n, () => this.#options.weights(place, bits));
  }

  #open(part: ElasticSegment): Promise<OpenSegment> {
    const { segment } = part;
    return this.#sessions.get(String(segment.index), SESSION_FACTOR * segment.weightBytes, async () => {
      const { graph, runtime, machine } = this.#options;
      const { threads } = machine;
      const isLast = segment.index === graph.segments.length - 1;
      const { head } = graph;
      const replaces = this.#head !== undefined && head !== undefined && isLast;
      const model = buildSegmentModel(graph.model, {
        segment,
        execution: graph.execution,
        grams: [],
        extra: isLast ? segment.targets : [],
        carry: true,
        weighted: false,
        replaced: replaces ? new Map([[head.weight.source, this.#head as Tensor]]) : new Map(),
      });
      // The runtime maps the weights, so their files stay as long as the session.
      const files = new SegmentFiles(join(this.#folder, String(this.#serial++)));
      return { session: await runtime.open(files.write(model.model), { threads }), model, files };
    });
  }
}

async function closeSegment({ session, files }: OpenSegment): Promise<void> {
  await session.close();
  files.close();
}

function bitsIn(mix: Mix, place: ProjectionPlace): number {
  const bits = mix.get(place.id) ?? fail('bits-file', place.id, 'The mix has no precision for this projection');
  return effectiveBits(place, bits);
}

function nextState(state: State, { segment }: ElasticSegment, model: SegmentModel, outputs: Feeds): State {
  const next = new Map(state);
  for (const value of segment.retired) next.delete(value);
  for (const { name, value } of model.liveOut) {
    next.set(value, outputs[name] ?? fail('runtime-failed', name, 'ONNX Runtime did not return an output'));
  }
  return next;
}
