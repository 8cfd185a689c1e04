/** Options of functions that search for mixes. */
import { z } from 'zod';
import { path, paths, seed, whole } from './fields.js';

/** A precision. */
export const BITS: z.ZodInt = whole(2, 8);
/** Average bits of a code. */
export const AVERAGE: z.ZodNumber = z.number().min(1).max(8);

/** Ways to search for a mix. */
export const METHODS = ['dp', 'greedy', 'local', 'evolution'] as const;

/** How a mix is searched for. */
export const search: Readonly<Record<string, z.ZodType>> = {
  per: z.enum(['layer', 'projection']).default('layer').describe('Choose a precision per layer or per projection'),
  method: z.enum(METHODS).describe('Search method (default: local with text, else dp)').exactOptional(),
  shape: z
    .enum(['pyramid', 'reverse', 'increasing', 'decreasing'])
    .describe('Named shape of the MatQuant paper instead of a search')
    .exactOptional(),
  bits: z
    .array(BITS)
    .min(1)
    .refine((bits) => new Set(bits).size === bits.length, { error: 'takes each precision once' })
    .describe('Precisions to choose from, such as 2,3,4 (default: all of the set)')
    .exactOptional(),
  fixed: z
    .array(z.strictObject({ match: z.string(), bits: BITS }))
    .describe('Projections whose id matches a pattern keep these bits')
    .exactOptional(),
  evaluations: whole(1).default(200).describe('Maximum number of mixes that a search evaluates'),
  sensitivities: paths.describe('Additional sensitivity files, besides NAME.sensitivity.json').exactOptional(),
  seed,
};

/** What a mix has to be; exactly one of these. */
export const goal: z.ZodType = z
  .strictObject({
    averageBits: AVERAGE.describe('Average stored bits per code, such as 2.5').exactOptional(),
    targetBytes: whole(1).describe('Size of the graph and the data it reads, such as 820MB').exactOptional(),
    maxKl: z
      .number()
      .nonnegative()
      .describe('Find the smallest mix with at most this KL, in nats per position')
      .exactOptional(),
    bitsFile: path.describe('JSON file that maps layers or projections to bits').exactOptional(),
  })
  .refine((value) => Object.keys(value).length === 1, {
    error: 'takes exactly one of averageBits, targetBytes, maxKl and bitsFile',
  });
