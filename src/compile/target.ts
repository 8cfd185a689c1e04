/** What the runtime that models are made for cannot do, said before any work begins. */
import { fail } from '../diagnostics.js';
import type { Context } from '../log.js';
import { computesIn } from '../onnx/rewrite/compute-float32.js';
import type { Recipe } from '../recipe/index.js';
import type { Source } from '../source/index.js';

/**
 * Fails with `unsupported-target` where the recipe asks for a form that its target refuses. On a processor (ONNX Runtime 1.30)
 * everything this tool writes runs, but for bfloat16, of which `compile` warns. WebGPU is onnxruntime-web 1.26 to 1.30.
 */
export function requireTarget({ model, path }: Source, recipe: Recipe, { log }: Pick<Context, 'log'>): void {
  requireOpset(path, model.opsets.get('') ?? LOWEST, recipe);
  if (recipe.target === 'cpu') return;
  if (recipe.embeddingBits === 2) {
    fail(
      'unsupported-target',
      'recipe.embeddingBits',
      'GatherBlockQuantized looks up rows of 4 or 8 bits on WebGPU, not of 2 bits: use 4 or 8 bits for the embedding and the head',
    );
  }
  if (computesIn(model, 'bfloat16')) {
    fail(
      'unsupported-target',
      path,
      'The model computes in bfloat16, which WebGPU does not support: use a recipe with "compute": "float32"',
    );
  }
  if (recipe.bits.includes(2)) log.warn('Projections of 2 bits run on WebGPU from onnxruntime-web 1.26 on.');
}

/** ONNX Runtime has no kernels for operator sets before this one. */
const LOWEST = 7;

/** Training adds Clip, Pad and Round, whose bounds are inputs, or which are there, from this operator set on. */
const LOWEST_TRAINED = 11;

function requireOpset(path: string, opset: number, { train, distill, qat }: Recipe): void {
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
