/** The stage that trains feed-forward weights end to end, through rounding and slices (quantization-aware training). */

import { createHash } from 'node:crypto';
import { join } from 'node:path';
import type { Projection } from '../analysis/projection.js';
import { fail } from '../diagnostics.js';
import { keptIn, type Machine } from '../files/machine.js';
import type { Context } from '../log.js';
import { toFloat32 } from '../onnx/ir/half.js';
import type { Precision } from '../quant/precision.js';
import { createRandom } from '../random.js';
import { lambdaOf, type QatRecipe, type Recipe } from '../recipe/index.js';
import { readHints } from '../runtime/hints.js';
import { ortRuntime } from '../runtime/ort.js';
import type { CompiledDistillation } from '../set/index.js';
import type { Solved } from '../solve/index.js';
import { inFloat32, type Source } from '../source/index.js';
import type { TextOptions } from '../text/index.js';
import { TOOL } from '../version.js';
import { freezeClipped } from './blocks/freeze.js';
import type { StudentPlan } from './blocks/learnables.js';
import { Chain } from './distill/chain.js';
import type { Objective } from './distill/head.js';
import { Mixture, type MixtureTerm } from './distill/mixture.js';
import type { Learning } from './distill/student.js';
import { distillTables } from './distill/train.js';
import { rowsOf, type WeightStudent } from './distill/weight-student.js';
import { studentPlan } from './student-plan.js';
import { openTrainingText, type TrainingText, type TrainingTextOptions } from './training-text.js';

type Weights = Learning<{ readonly weight: Float32Array }>;

export interface QatOptions extends Omit<TrainingTextOptions, 'text'> {
  readonly text?: TextOptions;
  readonly seed: number;
}

/** Trained weights, frozen. */
export interface TrainedWeights {
  readonly report: CompiledDistillation;
  find(id: string): Solved | undefined;
}

/** Trains what the recipe says; undefined when it trains no weights. */
export async function trainWeights(
  source: Source,
  { text, ...options }: QatOptions,
  context: Context,
): Promise<TrainedWeights | undefined> {
  const { recipe } = options;
  if (recipe.qat === undefined) return undefined;
  if (text === undefined) return fail('bad-usage', 'text', 'Training needs text');
  const floats = inFloat32(source, recipe);
  const ids = new Set(source.chosen.map(({ projection }) => projection.id));
  const projections = floats.analysis.projections.filter(({ id }) => ids.has(id));
  // The set decodes by the parent's grid, whose range is that of the trained weights.
  const plan = studentPlan(recipe, [], 4);
  const trainingText = await openTrainingText({ ...options, text }, recipe.qat, floats, context);
  const chains = new Chains(floats, projections, plan, options.machine);
  try {
    const { tables, ...report } = await run(
      projections,
      chains,
      trainingText,
      { ...options, qat: recipe.qat },
      context,
    );
    const found = new Map(projections.map((each) => [each.id, frozen(each, tables, plan)]));
    return { report, find: (id) => found.get(id) };
  } finally {
    await chains.close();
    trainingText.teacher.close();
  }
}

interface RunOptions extends Omit<QatOptions, 'text'> {
  readonly qat: QatRecipe;
}

async function run(
  projections: readonly Projection[],
  chains: Chains,
  trainingText: TrainingText,
  { recipe, qat, machine, seed }: RunOptions,
  context: Context,
): Promise<CompiledDistillation & { readonly tables: Weights }> {
  const weights: Weights = new Map(
    projections.map(({ id, weight: { tensor } }) => [id, { weight: toFloat32(tensor.bytes(), tensor.dtype).slice() }]),
  );
  const { text, teacher, rows, kept, batch, digest } = trainingText;
  const { tables: _, ...facts } = recipe;
  const key = createHash('sha256')
    .update(JSON.stringify([TOOL, 'qat', digest, facts, seed]))
    .digest('hex');
  const folder = keptIn(machine, 'distilled');
  const checkpoint = folder === undefined ? undefined : join(folder, `${key}.state`);
  const { tables, steps, looks } = await distillTables({
    chain: new Mixture(termsOf(recipe, qat, chains)),
    teacher,
    text,
    rows,
    kept,
    tables: weights,
    stored: (some) => some,
    options: { ...qat, batch },
    random: createRandom(seed).fork('qat'),
    checkpoint,
    log: context.log,
    signal: context.signal,
    onStep: (done, total, loss, last) => {
      const detail = `loss ${loss.toFixed(4)}, held out ${last.toFixed(4)}`;
      context.progress.update({ stage: 'train', done, total, detail });
    },
  });
  if (checkpoint !== undefined) machine.onKept?.(checkpoint);
  const after = Math.min(...looks.map((each) => each.kept));
  const bits = Math.min(...recipe.bits);
  return {
    bits,
    steps,
    tokens: steps * batch * text.length,
    kept: { before: looks[0]?.kept ?? 0, after },
    looks,
    tables,
  };
}

/** One term for every precision with a weight, and one more, weighted equally, for every pair. */
function termsOf(recipe: Recipe, { objective, codistill }: QatRecipe, chains: Chains): readonly MixtureTerm[] {
  const lambda = lambdaOf(recipe);
  const plain = recipe.bits
    .filter((bits) => (lambda[bits] ?? 0) > 0)
    .map((bits): MixtureTerm => ({ chain: chains.at(bits, objective), weight: lambda[bits] as number }));
  const pairs = codistill.map(
    ({ from, to }): MixtureTerm => ({
      chain: chains.at(to, 'divergence'),
      weight: lambda[to] || 1,
      teacher: chains.at(from, 'divergence'),
    }),
  );
  return [...plain, ...pairs];
}

/** The model at each precision and with each objective, made where it is asked for. */
class Chains {
  readonly #open = new Map<string, Chain>();
  readonly #source: Source;
  readonly #projections: readonly Projection[];
  readonly #plan: StudentPlan;
  readonly #machine: Machine;

  constructor(source: Source, projections: readonly Projection[], plan: StudentPlan, machine: Machine) {
    this.#source = source;
    this.#projections = projections;
    this.#plan = plan;
    this.#machine = machine;
  }

  at(bits: number, objective: Objective): Chain {
    const key = `${bits} ${objective}`;
    const chain = this.#open.get(key) ?? this.#make(bits as Precision, objective);
    this.#open.set(key, chain);
    return chain;
  }

  #make(bits: Precision, objective: Objective): Chain {
    const { model, analysis, path } = this.#source;
    const student = this.#projections.map(
      (projection): WeightStudent => ({ projection, learns: true, bits, plan: this.#plan }),
    );
    const machine = this.#machine;
    const hints = readHints(path);
    return new Chain({ model, analysis, student, ids: undefined, objective, runtime: ortRuntime, machine, hints });
  }

  async close(): Promise<void> {
    for (const chain of this.#open.values()) await chain.close();
  }
}

function frozen(projection: Projection, weights: Weights, plan: StudentPlan): Solved {
  const stored = weights.get(projection.id)?.weight as Float32Array;
  const nested = freezeClipped(projection, rowsOf(projection, stored), plan, new Map());
  return { ...nested, report: { error: new Map(), damping: 0, dead: 0, seconds: 0 } };
}
