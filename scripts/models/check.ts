/** Compiles a model to int8 and compares it with its source in ONNX Runtime. */
import { join } from 'node:path';
import { compile } from '../../src/compile/compile.js';
import { CompilerError } from '../../src/diagnostics.js';
import { silentContext } from '../../src/log.js';
import { exportModel } from '../../src/onnx/convert/export.js';
import { parseRecipe, type Recipe } from '../../src/recipe/recipe.js';
import { type Decoder, openDecoder } from '../../src/runtime/decoder.js';
import { promptFeeds, stepFeeds, stepFetches } from '../../src/runtime/feeds.js';
import { ortRuntime } from '../../src/runtime/ort.js';
import { type HostTensor, numbersOf } from '../../src/runtime/runtime.js';
import { openSource } from '../../src/source/source.js';
import { COMPILE } from '../../test/support/compile.js';
import type { Row } from './rows.js';

export interface Checked {
  readonly text: string;
  /** Relative error of the logits; undefined where the model is refused. */
  readonly error: number | undefined;
}

const TOKENS = 24;
/** Decoding with a cache adds in another order. */
const NEAR = 0.01;
/** What errors are said to be below: nothing is printed that another processor would change. */
const BOUNDS = [0.03, 0.1] as const;
/** What a model may be refused with. */
const REFUSED: ReadonlySet<string> = new Set(['already-quantized', 'no-ffn']);

/** The recipe of a row: everything in 8 bits, bfloat16 in float32. */
export function recipeFor(row: Row): Recipe {
  const after = ('spec' in row ? row.form.after : row.after) ?? [];
  const recipe = {
    ...{ method: 'rtn', bits: [8], block: 32, scope: 'ffn+attention', embeddingBits: 8, accuracyLevel: 0 },
    ...(after.includes('bfloat16') && { compute: 'float32' }),
    ...(after.includes('dequantizeSource') && { dequantizeSource: true }),
    ...(after.includes('weights as inputs') && { initializerInputs: 'constant' }),
  };
  return parseRecipe(recipe, 'models');
}

/** Fails with an Error where decoding with a cache differs from a pass over the whole text. */
export async function checked(model: string, row: Row, folder: string): Promise<Checked> {
  const output = join(folder, 'set');
  const recipe = recipeFor(row);
  try {
    await compile({ ...COMPILE, model, output, recipe }, silentContext());
  } catch (error) {
    if (error instanceof CompilerError && REFUSED.has(error.code))
      return { text: `\`${error.code}\``, error: undefined };
    throw error;
  }
  const path = join(output, 'm_int8.onnx');
  const runnable = recipe.compute === 'float32' ? widened(model, recipe, folder) : model;
  const [exact, near] = [await logitsOf(runnable), await logitsOf(path)];
  const isRouted = isMixture(row);
  const error = isRouted ? medianError(exact.whole, near.whole) : relativeError(exact.whole, near.whole);
  if (near.cached !== undefined && relativeError(near.last, near.cached) > NEAR)
    throw new Error(`${path}: decoding with the cache differs by ${relativeError(near.last, near.cached)}`);
  const bound = BOUNDS.find((each) => error < each);
  if (bound === undefined) throw new Error(`${path}: the logits differ by ${error}`);
  return {
    text: `< ${100 * bound} %${isRouted ? ' (median)' : ''}${near.cached === undefined ? '' : ', cache'}`,
    error,
  };
}

/** Rounding sends single tokens to other experts. */
const isMixture = (row: Row): boolean =>
  'spec' in row ? !['gated', 'merged'].includes(row.spec.feedForward ?? 'gated') : row.fixture.startsWith('mixtral');

/** The model with what is bfloat16 in float32, since ONNX Runtime has no such kernels on processors. */
function widened(model: string, recipe: Recipe, folder: string): string {
  return exportModel(openSource(model, recipe).model, join(folder, 'widened.onnx')).path;
}

interface Logits {
  readonly whole: Float32Array;
  /** Those of the last token, and the same with the others in the cache. */
  readonly last: Float32Array;
  readonly cached: Float32Array | undefined;
}

async function logitsOf(path: string): Promise<Logits> {
  const decoder = await openDecoder(ortRuntime, path, { threads: 1 });
  try {
    const ids = Array.from({ length: TOKENS }, (_, at) => 3 + ((at * 37) % 90));
    const run = await decoder.session.run(promptFeeds(decoder, ids), [decoder.logits.name]);
    const whole = numbersOf(run[decoder.logits.name] as HostTensor);
    const last = whole.subarray(-whole.length / TOKENS);
    return { whole, last, cached: decoder.hasCache ? await cachedLogits(decoder, ids) : undefined };
  } finally {
    await decoder.session.close();
  }
}

async function cachedLogits(decoder: Decoder, ids: readonly number[]): Promise<Float32Array> {
  const before = await decoder.session.run(promptFeeds(decoder, ids.slice(0, -1)), stepFetches(decoder));
  const feeds = stepFeeds(decoder, ids.at(-1) as number, ids.length - 1, before);
  const { [decoder.logits.name]: logits } = await decoder.session.run(feeds, [decoder.logits.name]);
  return numbersOf(logits as HostTensor);
}

/** The median over tokens. */
function medianError(exact: Float32Array, near: Float32Array): number {
  const width = exact.length / TOKENS;
  const of = (numbers: Float32Array, at: number): Float32Array => numbers.subarray(at * width, (at + 1) * width);
  const errors = Array.from({ length: TOKENS }, (_, at) => relativeError(of(exact, at), of(near, at)));
  return errors.toSorted((a, b) => a - b)[TOKENS / 2] as number;
}

/** Root of the sum of squared differences over that of squares. */
function relativeError(exact: Float32Array, near: Float32Array): number {
  let [difference, size] = [0, 0];
  for (const [at, value] of exact.entries()) {
    difference += (value - (near[at] ?? Number.NaN)) ** 2;
    size += value ** 2;
  }
  return Math.sqrt(difference / size);
}
