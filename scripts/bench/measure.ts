/** One method of a benchmark: compiled, sliced where it must be, and scored on held-out text. */
import { join } from 'node:path';
import { compile, evaluate, parseRecipe, type RecipeInput, silentContext, slice } from '../../src/index.js';
import type { Bits, Method } from './methods.js';

/** Model, texts as files of token ids, and settings that all methods share. */
export interface BenchOptions {
  readonly model: string;
  readonly calibration: string;
  readonly held: string;
  readonly block: number;
  /** accuracy_level of the products. */
  readonly accuracy: number;
  /** Tokens of the calibration text. */
  readonly tokens: number;
  /** Steps of every training, instead of the preset's. */
  readonly steps?: number | undefined;
  /** Windows of the held-out text; all by default. */
  readonly windows?: number | undefined;
  /** Where sets are written. */
  readonly folder: string;
  /** Folder of results that a later run takes up. */
  readonly work: string;
}

/** Quality of one precision on held-out text, in nats per position. */
export interface Quality {
  readonly kl: number;
  /** Negative log-likelihood above that of the float model. */
  readonly deltaNll: number;
}

/** Quality by precision, the set it was measured on, and how long compiling took. */
export interface MethodResult {
  readonly quality: ReadonlyMap<Bits, Quality>;
  /** Manifest of the set; of the last one where each precision has its own. */
  readonly set: string;
  readonly seconds: number;
}

const context = silentContext();
const machine = { threads: 2, memoryBytes: 8 * 2 ** 30 };

/** Compiles and scores one method. */
export async function measureMethod(name: string, method: Method, options: BenchOptions): Promise<MethodResult> {
  const started = performance.now();
  const sets = method.single ? method.bits.map((bits) => [bits]) : [[...method.bits]];
  const graphs = new Map<Bits, string>();
  let set = '';
  for (const bits of sets) {
    const made = await graphsOf(name, method, bits, options);
    for (const [each, path] of made.graphs) graphs.set(each, path);
    set = made.set;
  }
  const seconds = (performance.now() - started) / 1000;
  const { reference, candidates } = await evaluate(
    {
      reference: options.model,
      candidates: [...graphs.values()],
      text: { ids: options.held },
      window: 512,
      ...(options.windows !== undefined && { windows: options.windows }),
      ...machine,
      speed: false,
    },
    context,
  );
  const quality = new Map(
    [...graphs.keys()].map((bits, at): [Bits, Quality] => {
      const { kl = Number.NaN, nll = Number.NaN } = candidates[at] ?? {};
      return [bits, { kl, deltaNll: nll - reference.nll }];
    }),
  );
  return { quality, set, seconds };
}

/** Compiles one set and returns the graph of each of its precisions. */
async function graphsOf(
  name: string,
  method: Method,
  bits: readonly Bits[],
  options: BenchOptions,
): Promise<{ readonly graphs: ReadonlyMap<Bits, string>; readonly set: string }> {
  const { model, calibration, folder, work } = options;
  const output = join(folder, `${name}-${bits.join('')}`.replaceAll(' ', '-'));
  const recipe = parseRecipe(recipeOf(method.recipe, bits, options), name);
  await compile({ model, output, name: 'model', recipe, text: { ids: calibration }, work, ...machine }, context);
  const set = join(output, 'model.json');
  if (method.cut === undefined)
    return { graphs: new Map(bits.map((each) => [each, join(output, `model_int${each}.onnx`)])), set };
  const graphs = new Map<Bits, string>();
  for (const each of bits) {
    const path = join(output, `${method.cut}${each}.onnx`);
    await slice({ set, bits: each, output: path, standalone: true, slice: method.cut, format: 'matmulnbits' }, context);
    graphs.set(each, path);
  }
  return { graphs, set };
}

function recipeOf(
  { train, qat, ...recipe }: RecipeInput,
  bits: readonly Bits[],
  { block, accuracy, tokens, steps }: BenchOptions,
): RecipeInput {
  const own = steps === undefined ? {} : { steps };
  const trains = recipe.method === 'omniquant' || recipe.method === 'matquant' || train !== undefined;
  return {
    ...recipe,
    block: block as 32,
    bits,
    accuracyLevel: accuracy as 0 | 4,
    tokens,
    ...(trains && { train: { ...train, ...(train?.steps === 0 ? {} : own) } }),
    ...(recipe.method === 'qat' && { qat: { ...qat, ...own } }),
  };
}
