/** Co-distillation in a recipe: a larger precision of the set is a teacher of a smaller one, beside the float model. */
import { z } from 'zod';
import { bitsSchema } from './fields.js';

/** Precision `from` is a teacher of precision `to`. */
export interface TeachingPair {
  readonly from: number;
  readonly to: number;
}

export const codistillSchema: z.ZodType<readonly TeachingPair[]> = z
  .array(z.strictObject({ from: bitsSchema, to: bitsSchema }))
  .default([])
  .describe('Additional loss terms: the output of one precision against that of a larger one.');

/** What is wrong with the pairs, as a sentence; undefined when nothing is. */
export function wrongPair(pairs: readonly TeachingPair[], bits: readonly number[]): string | undefined {
  const strange = pairs.find(({ from, to }) => to >= from || !bits.includes(from) || !bits.includes(to));
  if (strange === undefined) return undefined;
  return `int${strange.to} cannot learn from int${strange.from}: name two precisions of the set, the larger one first`;
}
