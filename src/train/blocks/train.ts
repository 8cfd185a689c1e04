/** Trains one block: mini-batches of its input, AdamW on what it learns, and a way back when numbers go astray. */

import { type Step, type TrainingRequest, TrainingSession } from '../../autodiff/index.js';
import type { Machine } from '../../files/machine.js';
import type { Random } from '../../random.js';
import { type Feeds, floats, type HostTensor, type Runtime } from '../../runtime/runtime.js';
import type { BlockTraining } from '../../set/index.js';
import { AdamW, constantRate, cosineRate, type Schedule } from '../optimizer.js';
import type { TrainBlock } from './block.js';
import { studentInput } from './block-graph.js';
import { feedsOf, type Learnable, type Learned, type LearnKind } from './learnables.js';
import type { BlockRows, RowStore } from './rows.js';

export interface TrainOptions {
  readonly steps: number;
  readonly rates: Readonly<Record<LearnKind, number>>;
  readonly schedule: 'constant' | 'cosine';
  readonly warmUp: number;
  readonly machine?: Machine | undefined;
  readonly signal?: AbortSignal | undefined;
  readonly onStep?: (step: number, loss: number) => void;
}

/** How a block came out. */
export interface BlockHistory extends Pick<BlockTraining, 'losses' | 'start' | 'end' | 'retries'> {
  /** True when training made it worse, or could not go on: the numbers are those of the start. */
  readonly fallback: boolean;
}

export interface TrainedBlock extends BlockHistory {
  readonly learned: Learned;
}

/** The cosine ends at this share of the rate. */
const FLOOR = 0.05;
/** Steps taken back before a block is given up; each halves the rate. */
const MOST_RETRIES = 8;
/** Mini-batches that the loss before and after is measured on. */
const PROBES = 4;

/** What steps are fed beside the numbers that learn. */
export interface Batches {
  /** What the loss before and after is measured on. */
  readonly probes: readonly (() => Feeds)[];
  next(): Feeds;
}

/** Every step sees all there is, inside its graph. */
export const WHOLE: Batches = { probes: [() => ({})], next: () => ({}) };

/** Mini-batches of `batch` rows of a block's input. */
export function rowBatches(block: TrainBlock, rows: BlockRows, batch: number, random: Random): Batches {
  const { count } = rows.float;
  const size = Math.min(batch, count);
  const batches = batchesOf(count, size, random);
  const probes = Array.from({ length: Math.min(PROBES, Math.ceil(count / size)) }, () => batches.next().value);
  return {
    probes: probes.map((indices) => () => inputFeeds(block, indices, rows)),
    next: () => inputFeeds(block, batches.next().value, rows),
  };
}

export async function trainBlock(
  runtime: Runtime,
  request: TrainingRequest,
  learnables: readonly Learnable[],
  { probes, next }: Batches,
  options: TrainOptions,
): Promise<TrainedBlock> {
  const whole = (feeds: Feeds): Feeds => ({ ...feeds, ...feedsOf(learnables) });
  const { machine } = options;
  const open = machine && { threads: machine.threads, folder: machine.temporary };
  const session = await TrainingSession.open(runtime, request, whole(probes[0]?.() ?? {}), open);
  try {
    const measure = async (): Promise<number> => {
      let sum = 0;
      for (const probe of probes) sum += (await session.step(whole(probe()))).loss;
      return sum / probes.length;
    };
    const walk = new Walk(learnables, options);
    const first = walk.copy();
    const start = await measure();
    while (walk.steps < options.steps && walk.retries <= MOST_RETRIES) {
      options.signal?.throwIfAborted();
      walk.take(await session.step(whole(next())));
      options.onStep?.(walk.steps, walk.losses.at(-1) ?? start);
    }
    const end = await measure();
    const fallback = walk.retries > MOST_RETRIES || !(end <= start);
    if (fallback) walk.restore(first);
    const learned = new Map(learnables.map(({ name, values }) => [name, values]));
    return { learned, losses: walk.losses, start, end: fallback ? start : end, retries: walk.retries, fallback };
  } finally {
    await session.close();
  }
}

/** The rows as every input of the block wants them: one window. */
function inputFeeds(block: TrainBlock, indices: readonly number[], { float, student }: BlockRows): Feeds {
  const tensorOf = (store: RowStore): HostTensor => {
    const dims = [...new Array(store.rank - 2).fill(1), indices.length, store.width];
    return floats(store.gather(indices), dims);
  };
  const exact = tensorOf(float);
  const feeds = Object.fromEntries(block.inputs.map(({ name }) => [name, exact]));
  return student === undefined ? feeds : { ...feeds, [studentInput(block)]: tensorOf(student) };
}

/** Endless mini-batches of row numbers: every row once, in a drawn order, before any comes again. */
function* batchesOf(count: number, size: number, random: Random): Generator<readonly number[], never> {
  let order: number[] = [];
  for (;;) {
    while (order.length < size) order = [...order, ...random.shuffle([...new Array(count).keys()])];
    yield order.slice(0, size);
    order = order.slice(size);
  }
}

/** The optimizer with its way back. */
class Walk {
  readonly losses: number[] = [];
  retries = 0;
  readonly #learnables: readonly Learnable[];
  readonly #adam: AdamW;
  readonly #rate: Schedule;
  #share = 1;
  /** The values before the last move. */
  #before: readonly Float32Array[];

  constructor(learnables: readonly Learnable[], { rates, schedule, steps, warmUp }: TrainOptions) {
    this.#learnables = learnables;
    this.#adam = new AdamW(learnables.map(({ values, kind, unit = 1 }) => ({ values, rate: unit * rates[kind] })));
    this.#rate = schedule === 'cosine' ? cosineRate(1, steps, warmUp, FLOOR) : constantRate(1, warmUp);
    this.#before = this.copy();
  }

  get steps(): number {
    return this.losses.length;
  }

  copy(): readonly Float32Array[] {
    return this.#learnables.map(({ values }) => values.slice());
  }

  restore(values: readonly Float32Array[]): void {
    this.#learnables.forEach((each, at) => each.values.set(values[at] as Float32Array));
  }

  /** Moves against the gradients, or goes back to where they were still finite and halves the rate. */
  take({ loss, gradients }: Step): void {
    if (!Number.isFinite(loss) || gradients.some((each) => !allFinite(each))) {
      this.restore(this.#before);
      this.#share /= 2;
      this.retries++;
      return;
    }
    this.#before = this.copy();
    this.#adam.step(gradients, this.#share * this.#rate(this.steps));
    for (const { values, bound } of this.#learnables) if (bound !== undefined) clamp(values, bound);
    this.losses.push(loss);
  }
}

function allFinite(values: Float32Array): boolean {
  let sum = 0;
  for (const value of values) sum += Math.abs(value);
  return Number.isFinite(sum);
}

function clamp(values: Float32Array, bound: number): void {
  for (let at = 0; at < values.length; at++) values[at] = Math.max(-bound, Math.min(bound, values[at] as number));
}
