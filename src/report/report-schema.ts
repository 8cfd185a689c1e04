/** The files a report reads, as far as it reads them: more fields are welcome. */
import { z } from 'zod';
import type { ReportSweep, RunFacts, TaskRow } from './page/data.js';

/** What `eval --json` says of a model. */
export interface SavedScore {
  readonly path: string;
  readonly nll: number;
  readonly positions: number;
  readonly fileBytes?: number | undefined;
  readonly downloadBytes?: number | undefined;
  readonly tokensPerSecond?: number | undefined;
}

export interface SavedCandidate extends SavedScore {
  readonly kl: number;
  readonly klStandardError?: number | undefined;
  readonly top1: number;
  readonly deltaNll?: number | undefined;
  readonly deltaNllStandardError?: number | undefined;
}

/** Scores on text, answers to questions, or both. */
export interface SavedEvaluation {
  readonly reference?: SavedScore | undefined;
  readonly candidates: readonly SavedCandidate[];
  readonly tasks?: readonly SavedTask[] | undefined;
}

export interface SavedTask extends Omit<TaskRow, 'model'> {
  readonly path: string;
}

/** What `sweep` writes. */
export interface SavedSweep extends Omit<ReportSweep, 'name'> {
  /** Digest of the set's data. */
  readonly set: string;
}

const modelScore = {
  path: z.string(),
  nll: z.number(),
  positions: z.number(),
  fileBytes: z.number().optional(),
  downloadBytes: z.number().optional(),
  tokensPerSecond: z.number().optional(),
};
export const evaluationFile: z.ZodType<SavedEvaluation> = z
  .object({
    reference: z.object(modelScore).optional(),
    candidates: z
      .array(
        z.object({
          ...modelScore,
          kl: z.number(),
          klStandardError: z.number().optional(),
          top1: z.number(),
          deltaNll: z.number().optional(),
          deltaNllStandardError: z.number().optional(),
        }),
      )
      .default([]),
    tasks: z
      .array(
        z.object({
          task: z.string(),
          path: z.string(),
          items: z.number(),
          accuracy: z.number(),
          accuracyStandardError: z.number(),
          normalizedAccuracy: z.number(),
          normalizedAccuracyStandardError: z.number(),
          agreement: z.number(),
        }),
      )
      .optional(),
  })
  .refine(({ reference, tasks }) => reference !== undefined || tasks !== undefined, {
    path: ['reference'],
    message: 'The file has neither scores nor answers',
  });
export const sweepFile: z.ZodType<SavedSweep> = z.object({
  format: z.literal('matquant-sweep'),
  version: z.literal(1),
  set: z.string(),
  per: z.string(),
  reference: z.string(),
  positions: z.number(),
  points: z.array(
    z.object({
      name: z.string(),
      kind: z.enum(['uniform', 'shape', 'search']),
      averageBits: z.number(),
      storedBitsPerWeight: z.number(),
      bytes: z.number(),
      kl: z.number(),
      klStandardError: z.number(),
      deltaNll: z.number(),
      evaluations: z.number(),
      seconds: z.number(),
    }),
  ),
});
export const runFile: z.ZodType<RunFacts> = z.object({
  seconds: z.number(),
  stages: z.record(z.string(), z.number()),
  peakMemoryBytes: z.number().optional(),
});
