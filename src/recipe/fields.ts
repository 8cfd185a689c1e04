/** Fields that several parts of a recipe have. */
import { z } from 'zod';

const BITS = [2, 3, 4, 5, 6, 7, 8] as const;

/** Precisions of a recipe: 2, 3, 4, 5, 6, 7 or 8. */
export type Bits = (typeof BITS)[number];

export const bitsSchema: z.ZodType<Bits> = z.union(BITS.map((bits) => z.literal(bits)));

/** When training is evaluated on held-out text, which `what` it keeps, and when `work` stops. */
export interface HeldOutFields {
  readonly kept: z.ZodType<number>;
  readonly every: z.ZodType<number>;
  readonly patience: z.ZodType<number>;
}

export function heldOutFields(what: string, work: string): HeldOutFields {
  const count = (by: number, description: string): z.ZodType<number> =>
    z.number().int().positive().default(by).describe(description);
  return {
    kept: count(16, `Number of held-out windows, on which the best ${what} are chosen.`),
    every: count(20, 'Evaluation interval: steps between two evaluations on held-out text.'),
    patience: count(5, `Evaluations without improvement after which ${work} stops.`),
  };
}
