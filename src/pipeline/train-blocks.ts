/** The stage that trains feed-forward blocks by gradient, one after another, on the activations that reach them. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Projection } from '../analysis/projection.js';
import type { Segment } from '../analysis/segments.js';
import type { Group } from '../calibrate/groups.js';
import { SegmentRunner, type Stream } from '../calibrate/segment-runner.js';
import { findTrainBlocks, projectionsOf, type TrainBlock } from '../calibrate/train/block.js';
import { blockRequest } from '../calibrate/train/block-graph.js';
import { clipStudent } from '../calibrate/train/clip-student.js';
import { freezeClipped, frozenWeights } from '../calibrate/train/freeze.js';
import type { StudentPlan } from '../calibrate/train/learnables.js';
import { type Term, termsOf } from '../calibrate/train/objective.js';
import { RowStore } from '../calibrate/train/rows.js';
import { type BlockHistory, trainBlock } from '../calibrate/train/train.js';
import { loadRows } from '../kernels/load-rows.js';
import type { KernelPool } from '../kernels/pool.js';
import type { Context } from '../log.js';
import { containerBlock } from '../quant/layout.js';
import type { Precision } from '../quant/precision.js';
import { type Nested, parentBits, type Solved } from '../quant/solve/options.js';
import { createRandom } from '../random.js';
import type { BlockTraining } from '../report/page/data.js';
import { readHints } from '../runtime/hints.js';
import { ortRuntime } from '../runtime/ort.js';
import type { HostTensor } from '../runtime/runtime.js';
import type { Measured, MeasureOptions } from './measure.js';
import { lambdaOf, type Recipe } from './recipe.js';
import type { TrainRecipe } from './recipe-train.js';
import { type SolvedProjection, storedWeight } from './solve-projections.js';
import { SolvedFiles } from './solved-files.js';
import type { Chosen, Source } from './source.js';

/** Trained blocks; close them to free their files. */
export interface Trained {
  readonly reports: readonly BlockTraining[];
  /** The frozen form of a projection; undefined for one that was not trained. */
  find(id: string): Solved | undefined;
  close(): void;
}

/** Methods whose codes are trained. */
const TRAINED: ReadonlySet<Recipe['method']> = new Set(['omniquant', 'matquant']);

/** Share of the memory for the activations of a block. */
const ROW_SHARE = 4;

/** Trains what the recipe says; undefined when it trains nothing. */
export async function trainBlocks(
  source: Source,
  measured: Measured,
  options: MeasureOptions,
  pool: KernelPool,
  context: Context,
): Promise<Trained | undefined> {
  const { recipe } = options;
  if (recipe.train === undefined || !TRAINED.has(recipe.method)) return undefined;
  const folder = mkdtempSync(join(options.work ?? tmpdir(), 'matquant-trained-'));
  try {
    const stage = new TrainStage(source, recipe.train, measured, { ...options, work: folder }, pool, context);
    try {
      return await stage.run();
    } finally {
      stage.close();
    }
  } catch (error) {
    rmSync(folder, { recursive: true, force: true });
    throw error;
  }
}

class TrainStage {
  readonly #runner: SegmentRunner;
  readonly #blocks: ReadonlyMap<string, TrainBlock>;
  readonly #plan: StudentPlan;
  readonly #terms: readonly Term[];
  readonly #files: SolvedFiles;
  readonly #reports: BlockTraining[] = [];
  readonly #source: Source;
  readonly #train: TrainRecipe;
  readonly #options: MeasureOptions & { readonly work: string };
  readonly #pool: KernelPool;
  readonly #context: Context;

  constructor(
    source: Source,
    train: TrainRecipe,
    { windows }: Measured,
    options: MeasureOptions & { readonly work: string },
    pool: KernelPool,
    context: Context,
  ) {
    const { recipe, threads, memoryBytes, work } = options;
    const lowest = Math.min(...recipe.bits);
    const projections = source.chosen.filter(({ floor }) => floor <= lowest).map(({ projection }) => projection);
    const wanted = new Set(projections.filter(({ role }) => role === 'gate' || role === 'up'));
    this.#runner = new SegmentRunner(source.model, source.analysis, windows, ortRuntime, {
      threads,
      memoryBytes: memoryBytes / ROW_SHARE,
      workDir: work,
      scope: (projection) => wanted.has(projection),
      hints: readHints(source.path),
      signal: context.signal,
      ...(train.prefix === 'quantized' && { maxWeightBytes: 1 }),
    });
    const { blocks, left } = findTrainBlocks(this.#runner.plan.execution, projections);
    for (const { layer, reason } of left) context.log.warn(`Layer ${layer} is not trained: ${reason}.`);
    this.#blocks = new Map(blocks.map((block) => [block.gate.group, block]));
    this.#plan = planOf(recipe, train);
    this.#terms = objectiveOf(recipe, train);
    this.#files = new SolvedFiles(join(work, 'solved'));
    this.#source = source;
    this.#train = train;
    this.#options = options;
    this.#pool = pool;
    this.#context = context;
  }

  async run(): Promise<Trained> {
    const stream = this.#runner.stream();
    for (const segment of this.#runner.segments) await this.#runSegment(segment, stream);
    await stream.close();
    const [files, folder] = [this.#files, this.#options.work];
    return {
      reports: this.#reports,
      find: (id) => files.find(id),
      close: () => rmSync(folder, { recursive: true, force: true }),
    };
  }

  close(): void {
    this.#runner.close();
  }

  async #runSegment(segment: Segment, stream: Stream): Promise<void> {
    const groups = this.#runner.groupsIn(segment).filter(({ id }) => this.#blocks.has(id));
    const stores = new Map<string, RowStore>();
    const quantized = this.#train.prefix === 'quantized';
    try {
      if (groups.length > 0 || !quantized)
        await this.#runner.run(stream, {
          groups: [],
          extra: groups.map(({ input }) => input),
          advance: !quantized,
          onBatch: (_, extra) => {
            for (const group of groups) this.#keep(stores, group, extra.get(group.input));
          },
        });
      for (const { id } of groups) {
        const store = stores.get(id);
        if (store !== undefined) await this.#trainOne(this.#blocks.get(id) as TrainBlock, segment, store);
        store?.close();
      }
    } finally {
      for (const store of stores.values()) store.close();
    }
    const isLast = segment === this.#runner.segments.at(-1);
    if (quantized && !isLast) await this.#runner.run(stream, { groups: [], override: (each) => this.#smallest(each) });
  }

  #keep(stores: Map<string, RowStore>, { id, k }: Group, tensor: HostTensor | undefined): void {
    if (tensor === undefined) return;
    const path = join(this.#options.work, `${id}.rows`);
    const limit = this.#options.memoryBytes / ROW_SHARE / this.#blocks.size;
    const store = stores.get(id) ?? new RowStore(k, tensor.dims.length, path, limit);
    stores.set(id, store);
    store.append(tensor.data as Float32Array);
  }

  async #trainOne(block: TrainBlock, segment: Segment, rows: RowStore): Promise<void> {
    const { steps, batch, rates, schedule, warmUp } = this.#train;
    const { threads, seed, work } = this.#options;
    const { model } = this.#source;
    const student = clipStudent(block, this.#plan);
    const request = blockRequest(model, this.#runner.plan.execution, block, student, this.#terms);
    const random = createRandom(seed).fork(block.id);
    const done = this.#reports.length;
    const { learned, ...history } = await trainBlock(ortRuntime, block, request, student.learnables, rows, random, {
      steps,
      batch,
      rates,
      schedule,
      warmUp,
      threads,
      workDir: work,
      signal: this.#context.signal,
      onStep: (step) =>
        this.#context.progress.update({
          stage: 'train',
          done: done + step / steps,
          total: this.#blocks.size,
          detail: block.id,
        }),
    });
    for (const projection of projectionsOf(block)) {
      const weights = await loadRows(this.#pool, storedWeight(projection));
      this.#save(projection, freezeClipped(projection, weights, this.#plan, learned));
    }
    this.#reports.push(reportOf(block, segment, history));
    if (history.fallback) this.#context.log.warn(`Layer ${block.layer} did not get better by training.`);
  }

  #save({ id, k }: Projection, nested: Nested): void {
    const report = { error: new Map(), damping: 0, dead: 0, seconds: 0 };
    this.#files.save(id, { ...nested, report }, k);
  }

  /** The weights of a trained projection at the smallest precision. */
  #smallest({ id, k }: Projection): Float32Array | undefined {
    const nested = this.#files.find(id);
    return nested && frozenWeights(nested, k, this.#plan, Math.min(...this.#plan.bits) as Precision);
  }
}

/** Yields what was trained, then the rest, solved. */
export async function* trainedFirst(
  chosen: readonly Chosen[],
  trained: Trained | undefined,
  solve: (open: readonly Chosen[]) => AsyncIterable<SolvedProjection>,
): AsyncGenerator<SolvedProjection> {
  const open: Chosen[] = [];
  for (const each of chosen) {
    const nested = trained?.find(each.projection.id);
    if (nested === undefined) open.push(each);
    else yield { chosen: each, nested, report: undefined, seconds: 0 };
  }
  yield* solve(open);
}

function planOf(recipe: Recipe, train: TrainRecipe): StudentPlan {
  const { bits, block, slice, symmetric } = recipe;
  return {
    bits,
    parent: parentBits(bits),
    blockOf: (k) => (block === 'channel' ? k : containerBlock(k, block)),
    slice,
    symmetric,
    learn: new Set(train.learn),
    start: train.start,
  };
}

function objectiveOf(recipe: Recipe, { codistill }: TrainRecipe): readonly Term[] {
  const pairs = codistill.map(({ from, to }) => ({ from: from as Precision, to: to as Precision }));
  return termsOf(recipe.bits, lambdaOf(recipe), pairs);
}

/** Digits of a loss in the report. */
const DIGITS = 6;

function reportOf(block: TrainBlock, { index }: Segment, history: BlockHistory): BlockTraining {
  const rounded = (value: number): number => Number(value.toPrecision(DIGITS));
  const { losses, start, end, retries, fallback } = history;
  return {
    layer: block.layer,
    segment: index,
    losses: losses.map(rounded),
    start: rounded(start),
    end: rounded(end),
    retries,
    fallback: fallback ? projectionsOf(block).map(({ id }) => id) : [],
  };
}
