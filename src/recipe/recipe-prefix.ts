/** The part of a recipe that says what feeds the solver: the float model, or what quantized projections make of its activations. */
import { z } from 'zod';
import { fail } from '../diagnostics.js';
import { type Bits, bitsSchema } from './fields.js';
import { METHODS, type MethodName, methodsThat } from './methods.js';

/** Settings of a quantized prefix; docs/recipes.md describes every field. */
export interface PrefixRecipe {
  readonly bits: readonly Bits[];
  readonly share: number;
  readonly damping: number;
}

export const prefixSchema: z.ZodType<PrefixRecipe> = z.strictObject({
  bits: z
    .array(bitsSchema)
    .min(1)
    .default([4, 3, 2])
    .describe(
      'Precisions that are solved for the inputs that their own quantized projections give; others use float inputs.',
    ),
  share: z.number().positive().max(1).default(1).describe('Share of the weight correction that is applied.'),
  damping: z
    .number()
    .positive()
    .max(1)
    .default(0.1)
    .describe('Damping of the Gram matrix of those inputs: diagonal added, relative to its mean.'),
});

/** Fails when a recipe solves nothing for quantized inputs. */
export function requirePrefix(
  { method, bits }: { readonly method: MethodName; readonly bits: readonly number[] },
  prefix: PrefixRecipe,
  at: string,
): void {
  if (!METHODS[method].adapts)
    fail('recipe', at, `The method ${method} takes no quantized prefix; ${methodsThat(({ adapts }) => adapts)} do`);
  if (!prefix.bits.some((each) => bits.includes(each)))
    fail('recipe', at, `prefix.bits has none of the precisions ${bits.join(', ')} of the set`);
}
