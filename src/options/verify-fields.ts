/** Options of `verify`. */
import { z } from 'zod';
import { type Optional, path, whole } from './fields.js';

/** Another set to be the same as. */
export const sameAs: Optional<z.ZodType> = z
  .strictObject({
    set: path.describe('Set (.json or folder) that the candidate has to be the same as'),
    maxCodeShare: z
      .number()
      .min(0)
      .max(1)
      .describe('Maximum share of different codes at any precision, 0 to 1, in place of equal bytes')
      .exactOptional(),
    maxWeightChange: z
      .number()
      .nonnegative()
      .describe('Maximum RMS change of weights, in steps of their codes, in place of equal bytes')
      .exactOptional(),
  })
  .describe('A set that the candidate has to be the same as')
  .exactOptional();

/** Limits of every model. */
export const thresholds: z.ZodType = z
  .strictObject({
    maxKl: z.number().nonnegative().describe('Maximum KL to the original, in nats per position').exactOptional(),
    maxNllIncrease: z
      .number()
      .nonnegative()
      .describe('Maximum increase of negative log-likelihood, in nats per token')
      .exactOptional(),
    minTop1: z.number().min(0).max(1).describe('Minimum top-1 agreement with the original, 0 to 1').exactOptional(),
    maxSize: whole(1).describe('Maximum size of all files of the candidate, such as 820MB').exactOptional(),
  })
  .default({});
