/** The part of a recipe that says how weights are trained end to end. */
import { z } from 'zod';
import { fail } from '../diagnostics.js';
import { METHODS, type Method } from './methods.js';
import { codistillSchema, type TeachingPair, wrongPair } from './recipe-codistill.js';

/** How weights are trained; every field is described by the schema. */
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
    .describe('What is learnt from: the text itself, or the float model by its divergence.'),
  steps: z.number().int().positive().default(400).describe('Steps.'),
  batch: z.number().int().positive().default(512).describe('Tokens a step, in whole windows.'),
  rate: z
    .number()
    .positive()
    .default(0.01)
    .describe('Largest step, in units of the mean magnitude of the weights of a projection.'),
  warmUp: z.number().int().min(0).default(20).describe('Steps over which the rate rises from 0; then it is a cosine.'),
  kept: z.number().int().positive().default(16).describe('Windows kept back, on which the best weights are chosen.'),
  every: z.number().int().positive().default(20).describe('Steps between two looks at the text that is kept back.'),
  patience: z.number().int().positive().default(5).describe('Looks without a gain after which training stops.'),
  codistill: codistillSchema,
});

export const DEFAULT_QAT: QatRecipe = qatSchema.parse({});

/** Fails when weights cannot be trained in the way that is asked for. */
export function requireQat(
  { method, decode, scope, bits }: { method: Method; decode: string; scope: string; bits: readonly number[] },
  { codistill }: QatRecipe,
  at: string,
): void {
  const refuse = (sentence: string): never => fail('recipe', at, sentence);
  if (METHODS[method].trains !== 'qat')
    refuse(`The method ${method} does not train weights: qat is for the method of that name`);
  if (decode !== 'tied') refuse('Weights are trained through the grid of their parent: decode must be tied');
  if (scope !== 'ffn') refuse('Weights are trained in feed-forward blocks alone: scope must be ffn');
  const wrong = wrongPair(codistill, bits);
  if (wrong !== undefined) refuse(wrong);
}
