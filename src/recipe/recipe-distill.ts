/** The part of a recipe that says how tables are distilled end to end. */
import { z } from 'zod';
import { fail } from '../diagnostics.js';
import { type Bits, bitsSchema, heldOutFields } from './fields.js';
import { type MethodName, takesStatistics } from './methods.js';
import { codistillSchema, type TeachingPair, wrongPair } from './recipe-codistill.js';

/** Settings of distillation; docs/recipes.md describes every field. */
export interface DistillRecipe {
  readonly bits: readonly Bits[];
  readonly steps: number;
  readonly minutes?: number | undefined;
  readonly batch: number;
  readonly rate: number | Readonly<Record<string, number>>;
  readonly kept: number;
  readonly every: number;
  readonly patience: number;
  readonly vocabulary: number | 'full';
  readonly codistill: readonly TeachingPair[];
  readonly learn: readonly ('tables' | 'bias' | 'codes')[];
  readonly codes: CodesRecipe;
}

/** Settings of trained codes. */
export interface CodesRecipe {
  readonly bits: readonly Bits[];
  readonly near: number;
  readonly rate: number;
}

/**
 * Step sizes are relative to the mean scale of a projection. Gemma 3 270M, block 128: 160 steps of 512 tokens at 6e-3 halve the
 * divergence at int2 (1.43 → .80), at 5e-3 int3 falls by a sixth (.332 → .274), and int4 gains nothing and stops by itself. Held-out
 * text still gains at step 400 (.643 and .225). TinyStories-656K, block 32, 600 steps: .188, .042, .0106.
 */
export const distillSchema: z.ZodType<DistillRecipe> = z.strictObject({
  bits: z
    .array(bitsSchema)
    .default([2, 3, 4])
    .describe('Precisions whose tables are distilled; others keep their solved tables.'),
  steps: z.number().int().positive().default(400).describe('Maximum number of steps for each precision.'),
  minutes: z
    .number()
    .positive()
    .optional()
    .describe('Time for each precision instead of a number of steps; the number is estimated from the first steps.'),
  batch: z.number().int().positive().default(512).describe('Tokens per step, in whole windows.'),
  rate: z
    .union([z.number().positive(), z.record(z.string().regex(/^[2-8]$/), z.number().positive())])
    .default({ 2: 6e-3, 3: 5e-3, 4: 4e-3, 5: 2e-3, 6: 1e-3, 7: 1e-3, 8: 1e-3 })
    .describe('Peak learning rate, in units of the mean scale of a projection: one for all, or one per precision.'),
  ...heldOutFields('tables', 'distillation'),
  vocabulary: z
    .union([z.number().int().min(2), z.literal('full')])
    .default(32768)
    .describe('Number of token ids in the divergence: those of the text, then others; full takes all.'),
  codistill: codistillSchema,
  learn: z
    .array(z.enum(['tables', 'bias', 'codes']))
    .refine((kinds) => kinds.includes('tables'), { error: 'Tables always learn' })
    .default(['tables'])
    .describe('What is trained: scales and offsets (tables), a bias per output of a projection, codes.'),
  codes: z
    .strictObject({
      bits: z
        .array(bitsSchema)
        .default([2])
        .describe('Precisions whose codes are trained; the bits below them are then solved again.'),
      near: z.number().positive().default(4).describe('Maximum change of a code, in codes of the 8-bit parent.'),
      rate: z.number().positive().default(0.25).describe('Peak learning rate of codes, in codes of the 8-bit parent.'),
    })
    .prefault({})
    .describe('Settings of trained codes.'),
});

/** Fails when tables cannot be distilled in the way that is asked for. */
export function requireDistill(
  { method, bits }: { readonly method: MethodName; readonly bits: readonly number[] },
  { codistill, learn }: DistillRecipe,
  at: string,
): void {
  const wrong = wrongPair(codistill, bits);
  if (wrong !== undefined) fail('recipe', at, wrong);
  if (learn.includes('codes') && !takesStatistics(method))
    fail('recipe', at, `The method ${method} takes no statistics, under which the bits below learned codes are solved`);
}
