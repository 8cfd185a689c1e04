/**
 * The stage that trains scales and offsets on the output of each feed-forward block, with codes as they were solved: a store, the
 * float original and the calibration text in, a store with better tables out. The precisions are independent of each other.
 */

import { rmSync } from 'node:fs';
import type { Projection } from '../analysis/projection.js';
import { digestOfModel, digestOfWindows } from '../capture/index.js';
import { keptIn, type Machine } from '../files/machine.js';
import { temporaryFolder } from '../files/temporary.js';
import type { Context } from '../log.js';
import type { StoredTable } from '../quant/compress.js';
import type { SetLayout } from '../quant/layout.js';
import type { Precision } from '../quant/precision.js';
import { decodeTable } from '../quant/tables.js';
import { createRandom } from '../random.js';
import { METHODS, type Recipe, type TrainRecipe } from '../recipe/index.js';
import { ortRuntime } from '../runtime/ort.js';
import type { BlockTraining, SolvedStore } from '../set/index.js';
import { inFloat32, type Source } from '../source/index.js';
import { BlockWalk, type Stop } from './block-walk.js';
import { projectionsOf } from './blocks/block.js';
import { blockRequest } from './blocks/block-graph.js';
import { learnedTables, tableStudent } from './blocks/table-student.js';
import { rowBatches, type TrainedBlock, trainBlock } from './blocks/train.js';
import type { StudentProjection, Tables } from './distill/student.js';
import { storedAgain, storedTables, studentAt } from './distill-student.js';
import { LearnedFiles } from './learned-files.js';
import { type CentredColumns, decodeColumns } from './table-parameters.js';
import { trainingReport } from './training-report.js';

export interface TuneStage {
  /** The float original. */
  readonly source: Source;
  readonly recipe: Recipe;
  readonly windows: readonly Int32Array[];
  readonly machine: Machine;
  readonly seed: number;
}

export interface Tuned {
  readonly store: SolvedStore;
  readonly reports: readonly BlockTraining[];
}

/** Whether tables of solved codes are trained: other methods train before they solve. */
export const tunesTables = ({ train, method }: Pick<Recipe, 'train' | 'method'>): boolean =>
  train !== undefined && METHODS[method].trains === undefined;

/** Trains the tables of solved codes where the recipe says so. */
export async function tuneTables(store: SolvedStore, stage: TuneStage, context: Context): Promise<Tuned> {
  const { train } = stage.recipe;
  if (train === undefined || !tunesTables(stage.recipe)) return { store, reports: [] };
  const folder = temporaryFolder('tuned', stage.machine.temporary);
  const tuner = new Tuner(store, stage, train, folder, context);
  try {
    await tuner.run();
  } finally {
    tuner.close();
    rmSync(folder, { recursive: true, force: true });
  }
  const learned = [...tuner.stored].map(([id, tables]) => [id, { tables }] as const);
  return { store: store.with(learned), reports: tuner.reports };
}

class Tuner {
  readonly reports: BlockTraining[] = [];
  /** By projection and precision. */
  readonly stored: Map<string, Map<number, StoredTable>> = new Map();
  readonly #stage: TuneStage;
  readonly #train: TrainRecipe;
  readonly #source: Source;
  readonly #store: SolvedStore;
  readonly #walk: BlockWalk;
  readonly #learned: LearnedFiles;
  readonly #facts: readonly unknown[];
  readonly #folder: string;
  readonly #context: Context;
  /** At the smallest precision. */
  readonly #tables: Map<string, CentredColumns> = new Map();
  #last = '';

  constructor(store: SolvedStore, stage: TuneStage, train: TrainRecipe, folder: string, context: Context) {
    const { recipe, windows, machine, seed } = stage;
    const source = inFloat32(stage.source, recipe);
    this.#store = store;
    const lowest = Math.min(...recipe.bits);
    const ids = new Set(source.chosen.filter(({ floor }) => floor <= lowest).map(({ projection }) => projection.id));
    const projections = source.analysis.projections.filter(({ id }) => ids.has(id));
    const smallest = (projection: Projection): Float32Array | undefined => this.#smallest(projection);
    const options = { prefix: train.prefix, smallest, machine, folder };
    this.#walk = new BlockWalk(source, windows, projections, options, context);
    this.#learned = new LearnedFiles(keptIn(machine, 'trained'), context.log, machine.onKept);
    const solved = store.digest(Math.max(...recipe.bits));
    this.#facts = [digestOfModel(source.model), digestOfWindows(windows), train, seed, solved];
    this.#stage = stage;
    this.#train = train;
    this.#source = source;
    this.#folder = folder;
    this.#context = context;
  }

  async run(): Promise<void> {
    await this.#walk.run((stop) => this.#tuneBlock(stop));
  }

  close(): void {
    this.#walk.close();
  }

  get #layout(): SetLayout {
    return this.#store.layout;
  }

  async #tuneBlock(stop: Stop): Promise<void> {
    const ids = new Set(projectionsOf(stop.block).map(({ id }) => id));
    for (const bits of [...this.#stage.recipe.bits].sort((a, b) => a - b)) {
      const student = studentAt(this.#store, this.#source, bits, (id) => ids.has(id));
      if (!student.some(({ learns }) => learns)) continue;
      const key = this.#learned.key([...this.#facts, stop.block.id, bits, this.#last]);
      const { learned, ...history } = await this.#learned.findOr(key, () => this.#learn(stop, student, bits));
      this.#keep(learnedTables(student, learned), student, bits);
      this.reports.push(trainingReport(stop.block, stop.segment, history, bits));
      if (bits === Math.min(...this.#stage.recipe.bits) && this.#train.prefix === 'quantized') this.#last = key;
    }
  }

  async #learn({ block, rows }: Stop, student: readonly StudentProjection[], bits: Precision): Promise<TrainedBlock> {
    const { steps, batch, rates, schedule, warmUp } = this.#train;
    const { machine, seed, recipe } = this.#stage;
    const own = tableStudent(student);
    const terms = [{ bits, weight: 1, target: 'float' }] as const;
    const apart = rows.student !== undefined;
    const request = blockRequest(this.#source.model, this.#walk.execution, block, own, terms, apart);
    const random = createRandom(seed).fork(`${block.id} ${bits}`);
    const done = this.reports.length;
    const total = this.#walk.blocks.length * recipe.bits.length;
    return trainBlock(ortRuntime, request, own.learnables, rowBatches(block, rows, batch, random), {
      steps,
      rates,
      schedule,
      warmUp,
      machine: { ...machine, temporary: this.#folder },
      signal: this.#context.signal,
      onStep: (step) =>
        this.#context.progress.update({
          stage: 'tune',
          done: done + step / steps,
          total,
          detail: `${block.id} int${bits}`,
        }),
    });
  }

  #keep(tables: Tables, student: readonly StudentProjection[], bits: Precision): void {
    for (const [id, table] of storedTables(tables, student, bits, this.#layout))
      this.stored.set(id, (this.stored.get(id) ?? new Map()).set(bits, table));
    if (bits !== Math.min(...this.#stage.recipe.bits)) return;
    for (const [id, columns] of storedAgain(tables, student, bits, this.#layout)) this.#tables.set(id, columns);
  }

  /** The weights of a projection at the smallest precision, with the tables as they are by now. */
  #smallest({ id }: Projection): Float32Array | undefined {
    const lowest = Math.min(...this.#stage.recipe.bits) as Precision;
    const [student] = studentAt(this.#store, this.#source, lowest, (each) => each === id);
    if (student === undefined) return undefined;
    const columns = this.#tables.get(id) ?? student.columns;
    return decodeTable(student.codes.codes, student.codes.blocks, decodeColumns(columns, student.codes));
  }
}
