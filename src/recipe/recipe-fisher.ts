/** The part of a recipe that says how tokens weigh in the activation statistics. */
import { z } from 'zod';
import { fail } from '../diagnostics.js';
import { type MethodName, takesStatistics } from './methods.js';
import type { TrainRecipe } from './recipe-train.js';

/** Settings of statistics that know the loss; docs/recipes.md describes every field. */
export interface FisherRecipe {
  readonly groups: number;
}

export const fisherSchema: z.ZodType<FisherRecipe> = z.strictObject({
  groups: z
    .number()
    .int()
    .min(1)
    .max(64)
    .default(1)
    .describe(
      'Gram matrices of a projection, each for a contiguous group of its outputs; 1 is one matrix for all projections of an input.',
    ),
});

/** Fails where nothing is solved under such statistics, or their arithmetic cannot be that of the recipe. */
export function requireFisher(
  {
    method,
    capture,
    train,
  }: { readonly method: MethodName; readonly capture: string; readonly train?: TrainRecipe | undefined },
  at: string,
): void {
  const underGram = train?.start === 'grid' || train?.objective === 'gram';
  if (!takesStatistics(method) && !underGram)
    fail('recipe', at, `The method ${method} takes no statistics, in which \`fisher\` could weigh tokens`);
  if (capture === 'float64')
    fail(
      'recipe',
      at,
      '`fisher` weighs tokens by gradients in float32, which no `capture` in float64 can make the same on every processor',
    );
}
