/** What the runtime that models are made for cannot do, said before any work begins. */
import { fail } from '../diagnostics.js';
import type { Context } from '../log.js';
import { computesIn } from '../onnx/rewrite/widen-arithmetic.js';
import {
  FORMS,
  type FormName,
  factOf,
  formsOf,
  obstacleOf,
  type Recipe,
  RUNTIMES,
  type RuntimeName,
  TARGETS,
} from '../recipe/index.js';
import type { Source } from '../source/index.js';

/**
 * Fails with `unsupported-target` where the recipe asks for a form that its target refuses, by the table of facts of
 * `src/recipe/runtime-facts.ts`. On a processor everything this tool writes runs, but for bfloat16, of which `compile` warns.
 * `nested` is false for self-contained models.
 */
export function requireTarget(
  { model, path, chosen }: Source,
  recipe: Recipe,
  { log }: Pick<Context, 'log'>,
  nested = true,
): void {
  requireOpset(path, model.opsets.get('') ?? LOWEST, recipe);
  const { target } = recipe;
  if (target === 'cpu') return;
  const half = computesHalf({ chosen });
  for (const bits of recipe.bits.toSorted((a, b) => b - a))
    refuseForms(recipe, formsOf(recipe, bits, { half, nested }));
  if (target !== 'genai' && computesIn(model, 'bfloat16')) {
    fail(
      'unsupported-target',
      path,
      `The model computes in bfloat16, which the target ${target} does not support: use a recipe with "compute": "float32"`,
    );
  }
  for (const runtime of TARGETS[target].runtimes) {
    if (recipe.bits.includes(2))
      log.warn(`Projections of 2 bits run in ${RUNTIMES[runtime]} from ${versionOf(runtime, half)} on.`);
  }
}

const versionOf = (runtime: RuntimeName, half: boolean): string | null =>
  factOf(runtime, half ? 'half-2' : 'product-2').since;

/** True where a projection is multiplied in float16. */
export const computesHalf = ({ chosen }: Pick<Source, 'chosen'>): boolean =>
  chosen.some(({ projection }) => projection.sites.some(({ dtype }) => dtype === 'float16'));

/** What else to ask for where a form is refused. */
const OTHERWISE = {
  lookup: 'take 4 or 8 bits for the embedding and the head, or the target browser',
  joins: 'write self-contained models with --standalone',
  product: 'take other bits',
};

function refuseForms({ target }: Recipe, forms: readonly FormName[]): void {
  const obstacle = obstacleOf(target, forms);
  if (obstacle === undefined) return;
  const { operator, attributes } = FORMS[obstacle.form];
  const isLookup = obstacle.form.startsWith('lookup');
  const otherwise = isLookup ? OTHERWISE.lookup : obstacle.form === 'joins' ? OTHERWISE.joins : OTHERWISE.product;
  fail(
    'unsupported-target',
    isLookup ? 'recipe.embeddingBits' : 'recipe.bits',
    `${RUNTIMES[obstacle.runtime]} does not run ${operator} of ${attributes} (${obstacle.measured}): ${otherwise}`,
  );
}

/** ONNX Runtime has no kernels for operator sets before this one. */
const LOWEST = 7;

/** Parts of a token table are told apart by Mod and Where. */
const LOWEST_PARTS = 10;

/** Training adds Clip, Pad and Round, whose bounds are inputs, or which are there, from this operator set on. */
const LOWEST_TRAINED = 11;

function requireOpset(path: string, opset: number, { train, distill, qat, frequentIds }: Recipe): void {
  if (frequentIds !== undefined && opset < LOWEST_PARTS)
    fail(
      'unsupported-model',
      path,
      `frequentIds needs operator set ${LOWEST_PARTS} or newer, and the model is at ${opset}`,
    );
  const trains = [train, distill, qat].some((part) => part !== undefined);
  const lowest = trains ? LOWEST_TRAINED : LOWEST;
  if (opset >= lowest) return;
  const what = trains ? 'Training and distillation need' : 'This tool and ONNX Runtime need';
  const way = trains ? ', or take a preset that does not train, such as data-free' : '';
  fail(
    'unsupported-model',
    path,
    `${what} operator set ${lowest} or newer, and the model is at ${opset}: export it at ${lowest} or newer${way}`,
  );
}
