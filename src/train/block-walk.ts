/** Takes the activations that reach each feed-forward block, block by block in the order of the layers, to whoever trains it. */

import { join } from 'node:path';
import type { Projection } from '../analysis/projection.js';
import type { Segment } from '../analysis/segments.js';
import { type Group, type RunRequest, SegmentRunner, type Stream } from '../capture/index.js';
import { type Machine, shareOf } from '../files/machine.js';
import type { Context } from '../log.js';
import { readHints } from '../runtime/hints.js';
import { ortRuntime } from '../runtime/ort.js';
import type { Source } from '../source/index.js';
import type { Batch } from '../text/index.js';
import { findTrainBlocks, projectionsOf, type TrainBlock } from './blocks/block.js';
import { type BlockRows, RowStore } from './blocks/rows.js';

export interface WalkOptions {
  /** What feeds the student: the float layers before it, or what `smallest` makes of them. */
  readonly prefix: 'float' | 'quantized';
  /** The weights that a projection in front of a block is run with under `quantized`. */
  readonly smallest: (projection: Projection) => Float32Array | undefined;
  readonly machine: Machine;
  /** Folder of files that the walk makes. */
  readonly folder: string;
}

/** A block with where it is, ready to be trained. */
export interface Stop {
  readonly block: TrainBlock;
  readonly segment: number;
  readonly rows: BlockRows;
}

/** Share of the memory for the activations of a block. */
const ROW_SHARE = 1 / 4;

export class BlockWalk {
  readonly blocks: readonly TrainBlock[];
  readonly #byGroup: ReadonlyMap<string, TrainBlock>;
  readonly #runner: SegmentRunner;
  readonly #options: WalkOptions;

  /** Blocks are trained whose projections are all among `projections`. */
  constructor(
    source: Source,
    windows: readonly Int32Array[],
    projections: readonly Projection[],
    options: WalkOptions,
    context: Context,
  ) {
    const { machine, folder, prefix } = options;
    const wanted = new Set(projections.filter(({ role }) => role === 'gate' || role === 'up'));
    this.#options = options;
    this.#runner = new SegmentRunner(source.model, source.analysis, windows, ortRuntime, {
      machine: { ...shareOf(machine, ROW_SHARE), temporary: folder },
      scope: (projection) => wanted.has(projection),
      hints: readHints(source.path),
      signal: context.signal,
      ...(prefix === 'quantized' && { maxWeightBytes: 1 }),
    });
    const { blocks, left } = findTrainBlocks(this.#runner.plan.execution, projections);
    for (const { layer, reason } of left) context.log.warn(`Layer ${layer} is not trained: ${reason}.`);
    this.blocks = blocks;
    this.#byGroup = new Map(blocks.map((block) => [block.gate.group, block]));
  }

  get execution(): SegmentRunner['plan']['execution'] {
    return this.#runner.plan.execution;
  }

  close(): void {
    this.#runner.close();
  }

  /** Hands every block to `train` once. */
  async run(train: (stop: Stop) => Promise<void>): Promise<void> {
    if (this.blocks.length === 0) return;
    const float = this.#runner.stream();
    const quantized = this.#options.prefix === 'quantized' ? this.#runner.stream() : undefined;
    for (const segment of this.#runner.segments) await this.#runSegment(segment, float, quantized, train);
    await float.close();
    await quantized?.close();
  }

  async #runSegment(
    segment: Segment,
    float: Stream,
    quantized: Stream | undefined,
    train: (stop: Stop) => Promise<void>,
  ): Promise<void> {
    const groups = this.#runner.groupsIn(segment).filter(({ id }) => this.#byGroup.has(id));
    const [exact, student] = [new Rows(groups, this), new Rows(groups, this)];
    try {
      await this.#runner.run(float, exact.request(''));
      if (quantized !== undefined) await this.#runQuantized(quantized, student, this.#holdsOwn(segment, groups));
      for (const { id } of groups) {
        const rows = exact.stores.get(id);
        const block = this.#byGroup.get(id) as TrainBlock;
        if (rows !== undefined)
          await train({ block, segment: segment.index, rows: { float: rows, student: student.stores.get(id) } });
      }
    } finally {
      exact.close();
      student.close();
    }
    if (quantized !== undefined && quantized.next === segment.index)
      await this.#runner.run(quantized, { groups: [], override: this.#options.smallest });
  }

  /** A segment that holds the blocks themselves is run again when they are trained. */
  async #runQuantized(stream: Stream, rows: Rows, again: boolean): Promise<void> {
    await this.#runner.run(stream, { ...rows.request('.student'), override: this.#options.smallest, advance: !again });
  }

  #holdsOwn(segment: Segment, groups: readonly Group[]): boolean {
    const inside = new Set(this.#runner.projectionsIn(segment));
    const own = groups.flatMap(({ id }) => projectionsOf(this.#byGroup.get(id) as TrainBlock));
    return own.some((projection) => inside.has(projection));
  }

  /** A store of the rows of one group. */
  store({ id, k }: Group, rank: number, suffix: string): RowStore {
    const { folder, machine } = this.#options;
    const { memoryBytes } = shareOf(machine, ROW_SHARE / this.blocks.length / 2);
    return new RowStore(k, rank, join(folder, `${id}${suffix}.rows`), memoryBytes);
  }
}

/** The rows of the groups of one segment. */
class Rows {
  readonly stores: Map<string, RowStore> = new Map();
  readonly #groups: readonly Group[];
  readonly #walk: BlockWalk;

  constructor(groups: readonly Group[], walk: BlockWalk) {
    this.#groups = groups;
    this.#walk = walk;
  }

  /** A run that collects them. */
  request(suffix: string): RunRequest {
    return {
      groups: [],
      extra: this.#groups.map(({ input }) => input),
      onBatch: (_: Batch, extra) => {
        for (const group of this.#groups) {
          const tensor = extra.get(group.input);
          if (tensor === undefined) continue;
          const store = this.stores.get(group.id) ?? this.#walk.store(group, tensor.dims.length, suffix);
          this.stores.set(group.id, store);
          store.append(tensor.data as Float32Array);
        }
      },
    };
  }

  close(): void {
    for (const store of this.stores.values()) store.close();
  }
}
