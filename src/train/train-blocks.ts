/** The stage that trains feed-forward blocks by gradient, one after another, on the activations that reach them. */

import { rmSync } from 'node:fs';
import { join } from 'node:path';
import type { Projection } from '../analysis/projection.js';
import { digestOfModel, digestOfWindows } from '../capture/index.js';
import type { Entry } from '../emit/entry.js';
import type { Fold } from '../emit/fold-scale.js';
import { keptIn } from '../files/machine.js';
import { temporaryFolder } from '../files/temporary.js';
import { loadRows } from '../kernels/load-rows.js';
import type { KernelPool } from '../kernels/pool.js';
import type { Context } from '../log.js';
import { codeHistogram } from '../quant/histogram.js';
import type { Precision } from '../quant/precision.js';
import { createRandom } from '../random.js';
import { lambdaOf, METHODS, type Recipe, type TrainRecipe } from '../recipe/index.js';
import { ortRuntime } from '../runtime/ort.js';
import type { BlockTraining } from '../set/index.js';
import {
  type Measured,
  type MeasureOptions,
  type Nested,
  type Solved,
  SolvedFiles,
  storedWeight,
} from '../solve/index.js';
import type { Source } from '../source/index.js';
import { type BlockToTrain, blockTask } from './block-task.js';
import { BlockWalk } from './block-walk.js';
import { projectionsOf, type TrainBlock } from './blocks/block.js';
import { clipStudent } from './blocks/clip-student.js';
import { foldPlaces } from './blocks/fold-scale.js';
import { freezeClipped, frozenWeights } from './blocks/freeze.js';
import type { Learned, StudentPlan } from './blocks/learnables.js';
import { type Term, termsOf } from './blocks/objective.js';
import { type TrainedBlock, trainBlock } from './blocks/train.js';
import { entriesOf, factorsOf, inverseOf, inverted, scaledWeights } from './blocks/transform.js';
import { clipStarts } from './clip-starts.js';
import { LearnedFiles } from './learned-files.js';
import { studentPlan } from './student-plan.js';
import { trainingReport } from './training-report.js';

/** Trained blocks; close them to free their files. */
export interface Trained {
  readonly reports: readonly BlockTraining[];
  /** The frozen form of a projection; undefined for one that was not trained. */
  find(id: string): Solved | undefined;
  /** Occurrences of each code of the same parent without training. */
  codesBefore(id: string): readonly number[] | undefined;
  /** Nodes around projections, where the recipe asks for them. */
  readonly entries: ReadonlyMap<string, Entry>;
  /** What learned scales leave in the norms in front of blocks. */
  readonly folds: readonly Fold[];
  close(): void;
}

/**
 * Trains what the recipe says; undefined when it trains nothing. The source stays as it is: with the folds and entries in its graph it
 * is the same function of what was trained.
 */
export async function trainBlocks(
  source: Source,
  measured: Measured,
  options: MeasureOptions,
  pool: KernelPool,
  context: Context,
): Promise<Trained | undefined> {
  const { recipe } = options;
  // Without steps the grid is all there is, and the solver searches it without any activations.
  if (recipe.train === undefined || recipe.train.steps === 0 || METHODS[recipe.method].trains !== 'train')
    return undefined;
  const folder = temporaryFolder('trained', options.machine.temporary);
  try {
    const stage = new TrainStage(source, recipe.train, measured, { ...options, folder }, pool, context);
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

/** With the folder of files that only this run needs. */
type StageOptions = MeasureOptions & { readonly folder: string };

class TrainStage {
  readonly #walk: BlockWalk;
  readonly #plan: StudentPlan;
  readonly #terms: readonly Term[];
  readonly #solved: SolvedFiles;
  readonly #learned: LearnedFiles;
  readonly #facts: readonly unknown[];
  readonly #reports: BlockTraining[] = [];
  readonly #before: Map<string, readonly number[]> = new Map();
  readonly #entries: Map<string, Entry> = new Map();
  readonly #blockOf: ReadonlyMap<Projection, TrainBlock>;
  readonly #done: Map<TrainBlock, Learned> = new Map();
  readonly #source: Source;
  readonly #statistics: Measured['statistics'];
  readonly #train: TrainRecipe;
  readonly #options: StageOptions;
  readonly #pool: KernelPool;
  readonly #context: Context;
  /** Name of the last block, which the next one depends on where it reads quantized activations. */
  #last = '';

  constructor(
    source: Source,
    train: TrainRecipe,
    { windows, statistics }: Measured,
    options: StageOptions,
    pool: KernelPool,
    context: Context,
  ) {
    const { recipe, machine, folder, seed } = options;
    const lowest = Math.min(...recipe.bits);
    const projections = source.chosen.filter(({ floor }) => floor <= lowest).map(({ projection }) => projection);
    const { prefix } = train;
    const smallest = (projection: Projection): Float32Array | undefined => this.#smallest(projection);
    const walkOptions = { prefix, smallest, machine, folder };
    this.#walk = new BlockWalk(source, windows, projections, walkOptions, context);
    this.#blockOf = new Map(this.#walk.blocks.flatMap((block) => projectionsOf(block).map((each) => [each, block])));
    this.#plan = studentPlan(recipe, train.learn, train.start);
    this.#terms = objectiveOf(recipe, train);
    this.#solved = new SolvedFiles(join(folder, 'solved'), context.log);
    this.#learned = new LearnedFiles(keptIn(machine, 'trained'), context.log, machine.onKept);
    const { bits, block, slice, symmetric } = recipe;
    const made = [digestOfModel(source.model), digestOfWindows(windows), statistics?.header.digest, train, seed];
    this.#facts = [...made, bits, block, slice, symmetric, lambdaOf(recipe)];
    this.#source = source;
    this.#statistics = statistics;
    this.#train = train;
    this.#options = options;
    this.#pool = pool;
    this.#context = context;
  }

  async run(): Promise<Trained> {
    if (this.#train.objective === 'block') await this.#walk.run((stop) => this.#trainOne(stop));
    else for (const [segment, block] of this.#walk.blocks.entries()) await this.#trainOne({ block, segment });
    const { folder } = this.#options;
    return {
      reports: this.#reports,
      find: (id) => this.#solved.find(id),
      codesBefore: (id) => this.#before.get(id),
      entries: this.#entries,
      folds: this.#folds(),
      close: () => rmSync(folder, { recursive: true, force: true }),
    };
  }

  close(): void {
    this.#walk.close();
  }

  async #trainOne(toTrain: BlockToTrain): Promise<void> {
    const { block, segment } = toTrain;
    const { explicit } = this.#train;
    const folds = foldPlaces(block) !== undefined;
    const plan: StudentPlan = { ...this.#plan, entry: folds || explicit ? 'scaled' : 'kept' };
    const key = this.#learned.key([...this.#facts, block.id, this.#train.prefix === 'quantized' && this.#last]);
    this.#last = key;
    const { learned, ...history } = await this.#learned.findOr(key, () => this.#learn(toTrain, plan));
    const exact = new Map<Projection, Float32Array>();
    for (const projection of projectionsOf(block)) {
      const weights = await loadRows(this.#pool, storedWeight(projection));
      const scaled = scaledWeights(weights, projection.k, factorsOf(block, projection, learned));
      exact.set(projection, scaled);
      this.#save(projection, freezeClipped(projection, scaled, plan, learned));
      const before = freezeClipped(projection, weights, plan, new Map());
      this.#before.set(projection.id, Array.from(codeHistogram(before.codes)));
    }
    const entries = explicit ? entriesOf(block, learned, folds, (each) => exact.get(each) as Float32Array) : [];
    for (const [id, entry] of entries) this.#entries.set(id, entry);
    this.#done.set(block, learned);
    this.#reports.push(trainingReport(block, segment, history));
    if (history.fallback) this.#context.log.warn(`Training did not improve layer ${block.layer}.`);
  }

  async #learn(toTrain: BlockToTrain, plan: StudentPlan): Promise<TrainedBlock> {
    const { block } = toTrain;
    const { steps, batch, rates, schedule, warmUp } = this.#train;
    const { machine, seed, folder } = this.#options;
    const student = clipStudent(block, plan, await this.#starts(block, plan));
    const text = { batch, random: createRandom(seed).fork(block.id) };
    const { model } = this.#source;
    const { blocks, execution } = this.#walk;
    const task = await blockTask(model, execution, toTrain, student, this.#terms, this.#statistics, text);
    const [done, total] = [this.#reports.length, blocks.length];
    return trainBlock(ortRuntime, task.request, student.learnables, task.batches, {
      steps,
      rates,
      schedule,
      warmUp,
      machine: { ...machine, temporary: folder },
      signal: this.#context.signal,
      onStep: (step) =>
        this.#context.progress.update({ stage: 'train', done: done + step / steps, total, detail: block.id }),
    });
  }

  async #starts(block: TrainBlock, plan: StudentPlan): Promise<Learned> {
    if (this.#train.start !== 'grid' || this.#statistics === undefined) return new Map();
    const lambda = lambdaOf(this.#options.recipe);
    return clipStarts(projectionsOf(block), plan, lambda, this.#statistics, this.#pool);
  }

  #save({ id }: Projection, nested: Nested): void {
    const report = { error: new Map(), damping: 0, dead: 0, seconds: 0 };
    this.#solved.save(id, { ...nested, report });
  }

  /** The weights of a trained projection at the smallest precision, as they act in the model before scales are folded. */
  #smallest(projection: Projection): Float32Array | undefined {
    const block = this.#blockOf.get(projection);
    const learned = block && this.#done.get(block);
    const nested = learned && this.#solved.find(projection.id);
    if (block === undefined || learned === undefined || nested === undefined) return undefined;
    const lowest = Math.min(...this.#plan.bits) as Precision;
    const weights = frozenWeights(nested, projection.k, this.#plan, lowest);
    return scaledWeights(weights, projection.k, inverted(factorsOf(block, projection, learned)));
  }

  #folds(): readonly Fold[] {
    return [...this.#done].flatMap(([block, learned]) => {
      const inverse = inverseOf(block, learned);
      const places = foldPlaces(block);
      return inverse === undefined || places === undefined ? [] : [{ id: block.id, places, inverse }];
    });
  }
}

function objectiveOf(recipe: Recipe, { codistill }: TrainRecipe): readonly Term[] {
  const pairs = codistill.map(({ from, to }) => ({ from: from as Precision, to: to as Precision }));
  return termsOf(recipe.bits, lambdaOf(recipe), pairs);
}
