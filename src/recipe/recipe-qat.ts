/** The part of a recipe that says how weights are trained end to end. */
import { z } from 'zod';
import { fail } from '../diagnostics.js';
import { heldOutFields } from './fields.js';
import { METHODS, type MethodName } from './methods.js';
import { codistillSchema, type TeachingPair, wrongPair } from './recipe-codistill.js';

/** Settings of quantization-aware training; docs/recipes.md describes every field. */
export interface QatRecipe {
  readonly objective: 'likelihood' | 'divergence';
  readonly steps: number;
  readonly batch: number;
  readonly rate: number;
  readonly warmUp: number;
  readonly kept: number;
  readonly every: number;
  readonly patience: number;
  readonly codistill: readonly TeachingPair[];
}

export const qatSchema: z.ZodType<QatRecipe> = z.strictObject({
  objective: z
    .enum(['likelihood', 'divergence'])
    .default('likelihood')
    .describe('Training objective: likelihood of the text, or divergence from the float model.'),
  steps: z.number().int().positive().default(400).describe('Number of steps.'),
  batch: z.number().int().positive().default(512).describe('Tokens per step, in whole windows.'),
  rate: z
    .number()
    .positive()
    .default(0.01)
    .describe('Peak learning rate, in units of the mean magnitude of the weights of a projection.'),
  warmUp: z
    .number()
    .int()
    .min(0)
    .default(20)
    .describe('Warm-up steps, in which the rate rises from 0; a cosine schedule follows.'),
  ...heldOutFields('weights', 'training'),
  codistill: codistillSchema,
});

export const DEFAULT_QAT: QatRecipe = qatSchema.parse({});

/** Fails when weights cannot be trained in the way that is asked for. */
export function requireQat(
  { method, decode, scope, bits }: { method: MethodName; decode: string; scope: string; bits: readonly number[] },
  { codistill }: QatRecipe,
  at: string,
): void {
  const refuse = (sentence: string): never => fail('recipe', at, sentence);
  if (METHODS[method].trains !== 'qat')
    refuse(`The method ${method} does not train weights: qat is for the method of that name`);
  if (decode !== 'tied')
    refuse('The method qat needs the decode tied, because weights are trained through the grid of the parent');
  if (scope !== 'ffn') refuse('The method qat needs the scope ffn, because it trains feed-forward weights only');
  const wrong = wrongPair(codistill, bits);
  if (wrong !== undefined) refuse(wrong);
}
