/**
 * What reaches each group of projections behind quantized ones: one stream of activations per precision goes through the model beside
 * the float one, and takes the projections before it as they were solved.
 */

import type { Projection } from '../analysis/projection.js';
import type { Segment } from '../analysis/segments.js';
import { type Override, SegmentRunner, type Stream, type StreamStatistics } from '../capture/index.js';
import { type Machine, shareOf } from '../files/machine.js';
import type { Context } from '../log.js';
import type { Precision } from '../quant/precision.js';
import type { PrefixRecipe } from '../recipe/index.js';
import { readHints } from '../runtime/hints.js';
import { ortRuntime } from '../runtime/ort.js';
import type { Source } from '../source/index.js';

export interface WalkOptions {
  /** `bits` have a stream each. */
  readonly recipe: Pick<PrefixRecipe, 'bits'>;
  readonly machine: Machine;
  /** See `RunnerOptions`. */
  readonly inFloat64?: boolean;
}

/** Weights [n, k] of a solved projection in the model of a precision. */
export type WeightsAt = (bits: Precision) => Float32Array;

/** Share of the memory for the activations of all streams. */
const STREAM_SHARE = 1 / 4;

export class PrefixWalk {
  readonly #runner: SegmentRunner;
  readonly #float: Stream;
  readonly #streams: ReadonlyMap<Precision, Stream>;
  /** Solved projections that the streams have yet to pass. */
  readonly #solved: Map<string, WeightsAt> = new Map();
  /** The last segment that each projection runs in. */
  readonly #last: ReadonlyMap<string, number>;

  constructor(
    source: Source,
    windows: readonly Int32Array[],
    { recipe, machine, inFloat64 = false }: WalkOptions,
    context: Context,
  ) {
    const wanted = new Set(source.chosen.map(({ projection }) => projection));
    const sizes = source.chosen.map(({ projection }) => projection.weight.tensor.byteLength);
    this.#runner = new SegmentRunner(source.model, source.analysis, windows, ortRuntime, {
      machine: shareOf(machine, STREAM_SHARE),
      scope: (projection) => wanted.has(projection),
      hints: readHints(source.path),
      signal: context.signal,
      inFloat64,
      // A segment is run again for each of its groups, so it shall not be long; opening very short ones would take longer still.
      maxWeightBytes: Math.max(...sizes),
    });
    this.#float = this.#runner.stream();
    this.#streams = new Map(recipe.bits.map((each) => [each, this.#runner.stream()]));
    this.#last = new Map(
      this.segments.flatMap((each) => this.#runner.projectionsIn(each).map(({ id }) => [id, each.index] as const)),
    );
  }

  get segments(): readonly Segment[] {
    return this.#runner.segments;
  }

  /** Names of the groups whose input is made in a segment. */
  groupsIn(segment: Segment): readonly string[] {
    return this.#runner.groupsIn(segment).map(({ id }) => id);
  }

  /** X̂ᵀX̂ and X̂ᵀ(X - X̂) at a precision, of one group of the segment that comes next. What the group waits for has to be solved. */
  async collect(group: string, bits: Precision): Promise<StreamStatistics> {
    const request = { groups: [group], override: this.#at(bits), reference: this.#float, advance: false };
    const [statistics] = await this.#runner.run(this.#streams.get(bits) as Stream, request);
    return statistics as StreamStatistics;
  }

  /** From now on the streams take this projection as it was solved. */
  solved({ id }: Projection, weights: WeightsAt): void {
    this.#solved.set(id, weights);
  }

  /** Carries every stream over the segment that comes next; nothing is carried out of the last one. */
  async advance(): Promise<void> {
    const segment = this.segments[this.#float.next] as Segment;
    if (segment.index === this.segments.length - 1) return;
    for (const [bits, stream] of this.#streams)
      await this.#runner.run(stream, { groups: [], override: this.#at(bits) });
    await this.#runner.run(this.#float, { groups: [] });
    for (const id of this.#solved.keys()) if ((this.#last.get(id) ?? -1) <= segment.index) this.#solved.delete(id);
  }

  close(): void {
    this.#runner.close();
  }

  #at(bits: Precision): Override {
    return ({ id }) => this.#solved.get(id)?.(bits);
  }
}
