/** The stage that distils tables end to end: a store, the float original and text in, a store with better tables out. */

import { createHash } from 'node:crypto';
import { join } from 'node:path';
import { fail } from '../diagnostics.js';
import { keptIn, type Machine } from '../files/machine.js';
import type { Context } from '../log.js';
import type { Precision } from '../quant/precision.js';
import { createRandom } from '../random.js';
import type { DistillRecipe, Recipe } from '../recipe/index.js';
import { readHints } from '../runtime/hints.js';
import { ortRuntime } from '../runtime/ort.js';
import type { CompiledDistillation, SolvedStore } from '../set/index.js';
import type { Solver } from '../solve/index.js';
import { inFloat32, type Source } from '../source/index.js';
import type { TextOptions } from '../text/index.js';
import { TOOL } from '../version.js';
import { Chain } from './distill/chain.js';
import { Mixture } from './distill/mixture.js';
import type { Trainable } from './distill/request.js';
import type { StudentProjection, Tables } from './distill/student.js';
import { vocabularyOf } from './distill/text.js';
import { distillTables } from './distill/train.js';
import { storedAgain, storedTables, studentAt } from './distill-student.js';
import { confineLatents, withLatents } from './latents.js';
import { solveBelow } from './solve-below.js';
import { openTrainingText, type TrainingText } from './training-text.js';

export interface DistillStage {
  /** The float original. */
  readonly source: Source;
  readonly recipe: Recipe;
  readonly text: TextOptions;
  readonly machine: Machine;
  readonly seed: number;
  /** Solves what lies below codes that learnt. */
  readonly solver: Solver;
}

/** What distillation gives. */
export interface Distilled {
  readonly store: SolvedStore;
  readonly reports: readonly CompiledDistillation[];
}

/** Distils the precisions that the recipe names, one after another; nothing where it names none. */
export async function distill(solved: SolvedStore, stage: DistillStage, context: Context): Promise<Distilled> {
  const { recipe } = stage;
  const settings = recipe.distill;
  const wanted = [...recipe.bits].sort((a, b) => a - b).filter((bits) => settings?.bits.includes(bits));
  if (settings === undefined || wanted.length === 0) return { store: solved, reports: [] };
  if (solved.layout.decode === 'tied')
    fail('recipe', 'distill', 'Tied tables are those of the parent, so no precision has tables to distil');
  const source = inFloat32(stage.source, recipe);
  const trainingText = await openTrainingText(stage, settings, source, context);
  const reports: CompiledDistillation[] = [];
  let store = solved;
  try {
    for (const bits of wanted) {
      const distilled = await distillPrecision(bits, { stage, settings, source, trainingText, store }, context);
      store = distilled.store;
      if (distilled.report !== undefined) reports.push(distilled.report);
    }
  } finally {
    trainingText.teacher.close();
  }
  return { store, reports };
}

interface Surroundings {
  readonly stage: DistillStage;
  readonly settings: DistillRecipe;
  /** In float32. */
  readonly source: Source;
  readonly trainingText: TrainingText;
  readonly store: SolvedStore;
}

/** Distils one precision. */
async function distillPrecision(
  bits: Precision,
  one: Surroundings,
  context: Context,
): Promise<{ readonly store: SolvedStore; readonly report: CompiledDistillation | undefined }> {
  const { stage, settings, source, store } = one;
  const codesLearn = settings.learn.includes('codes') && settings.codes.bits.includes(bits);
  const plain = studentAt(store, source, bits);
  const student = codesLearn ? withLatents(plain, store, bits) : plain;
  if (!student.some(({ learns }) => learns)) return { store, report: undefined };
  const { tables, ...report } = await distillOne(bits, student, one, context);
  const below = codesLearn ? await solveBelow(tables, bits, stage.source, store, stage.solver) : store;
  const stored = storedTables(tables, student, bits, store.layout);
  const learned = [...stored].map(([id, table]) => [id, { tables: new Map([[bits, table]]) }] as const);
  return { store: below.with(learned), report };
}

async function distillOne(
  bits: Precision,
  student: readonly StudentProjection[],
  surroundings: Surroundings,
  context: Context,
): Promise<CompiledDistillation & { readonly tables: Tables }> {
  const { stage, settings, trainingText, store } = surroundings;
  const { text, teacher, rows, kept, batch } = trainingText;
  const folder = keptIn(stage.machine, 'distilled');
  const checkpoint = folder === undefined ? undefined : join(folder, `${keyOf(bits, surroundings)}.state`);
  const tables: Tables = new Map(
    student.filter(({ learns }) => learns).map(({ codes, columns }) => [codes.name, columns]),
  );
  const { trainable, close } = openTrainable(bits, student, surroundings);
  try {
    const result = await distillTables({
      chain: trainable,
      teacher,
      text,
      rows,
      kept,
      tables,
      stored: (some) => storedAgain(some, student, bits, store.layout),
      options: { ...settings, batch, rate: rateOf(settings, bits), codeRate: settings.codes.rate / 2 ** (8 - bits) },
      confine: confineLatents(tables, { near: settings.codes.near, held: heldBelow(settings, bits) }, bits),
      random: createRandom(stage.seed).fork(`distill ${bits}`),
      checkpoint,
      log: context.log,
      signal: context.signal,
      onStep: (step, steps, loss, last) =>
        context.progress.update({
          stage: `distill int${bits}`,
          done: step,
          total: steps,
          detail: `loss ${loss.toFixed(4)}, held out ${last.toFixed(4)}`,
        }),
    });
    if (checkpoint !== undefined) stage.machine.onKept?.(checkpoint);
    const before = result.looks[0]?.kept ?? 0;
    const after = Math.min(...result.looks.map((each) => each.kept));
    const tokens = result.steps * batch * text.length;
    return { bits, steps: result.steps, tokens, kept: { before, after }, looks: result.looks, tables: result.tables };
  } finally {
    await close();
  }
}

/** The model at `bits`, and those that teach it beside the float model; what is kept is judged by the float model alone. */
function openTrainable(
  bits: Precision,
  student: readonly StudentProjection[],
  { stage, settings, source, trainingText, store }: Surroundings,
): { readonly trainable: Trainable; close(): Promise<void> } {
  const { text, batch } = trainingText;
  const { model, analysis } = source;
  const vocabulary = analysis.embedding?.vocabulary ?? 0;
  const ids = settings.vocabulary === 'full' ? undefined : vocabularyOf(text.windows, vocabulary, settings.vocabulary);
  const open = (projections: readonly StudentProjection[]): Chain =>
    new Chain({
      model,
      analysis,
      student: projections,
      ids,
      runtime: ortRuntime,
      machine: stage.machine,
      hints: readHints(source.path),
      ...boundOf(stage, projections, batch * text.length),
    });
  const chain = open(student);
  const teachers = settings.codistill
    .filter(({ to }) => to === bits)
    .map(({ from }) => open(studentAt(store, source, from as Precision).map((each) => ({ ...each, learns: false }))));
  const terms = [undefined, ...teachers].map((teacher) => ({ chain, weight: 1, teacher }));
  const mixture = new Mixture(terms);
  const trainable: Trainable = {
    loss: (taught, tables) => chain.loss(taught, tables),
    step: (taught, tables) => mixture.step(taught, tables),
  };
  const close = async (): Promise<void> => {
    for (const each of [chain, ...teachers]) await each.close();
  };
  return { trainable, close };
}

/** Leading bits that a smaller precision has learnt before. */
const heldBelow = ({ codes, bits: all }: DistillRecipe, bits: number): number =>
  Math.max(0, ...codes.bits.filter((each) => each < bits && all.includes(each)));

const rateOf = ({ rate }: DistillRecipe, bits: number): number =>
  typeof rate === 'number' ? rate : (rate[bits] ?? fail('recipe', 'distill', `There is no rate for int${bits}`));

/**
 * Bytes that a step takes: a learning weight is there as code, weight and gradient in float32, in two sessions; and of every
 * activation between projections about 20 numbers are kept. Gemma 3 270M with 512 tokens: see docs/decisions/distillation.md.
 */
function boundOf(
  { machine: { memoryBytes } }: DistillStage,
  student: readonly StudentProjection[],
  tokens: number,
): { readonly maxWeightBytes?: number } {
  const weights = student.reduce((sum, { projection: { k, n } }) => sum + k * n, 0);
  const activations = student.reduce((sum, { projection: { k, n } }) => sum + tokens * (k + n), 0);
  const need = 16 * weights + 20 * activations;
  return need <= memoryBytes ? {} : { maxWeightBytes: Math.max(1, Math.floor((4 * weights * memoryBytes) / need)) };
}

/** Grows when a state or what leads to it changes, so that old ones are not taken up. */
const STATE_FORMAT = 2;

/** Names a distillation by all that it is made from. */
function keyOf(bits: Precision, { stage, settings, trainingText, store }: Surroundings): string {
  const { bits: _, ...rest } = settings;
  const facts = [TOOL, STATE_FORMAT, bits, store.digest(bits), trainingText.digest, rest, stage.seed];
  return createHash('sha256').update(JSON.stringify(facts)).digest('hex');
}
