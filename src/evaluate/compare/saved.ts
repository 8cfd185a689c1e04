/** Saved results of `eval --json`, as far as a comparison reads them. */
import { z } from 'zod';
import { readChecked } from '../../set/index.js';
import { shortName } from '../budget/index.js';
import type { CandidateResult, EvalResult, ModelResult } from '../evaluate-types.js';
import type { Scored } from './figures.js';

const windows = z.array(z.object({ sum: z.number(), positions: z.number().positive() })).min(1);
const model = {
  path: z.string(),
  nll: z.number(),
  nllStandardError: z.number(),
  perplexity: z.number(),
  positions: z.number(),
  fileBytes: z.number(),
  downloadBytes: z.number(),
  tokensPerSecond: z.number(),
  loadSeconds: z.number(),
  loadedBytes: z.number(),
  windows,
};
const candidate: z.ZodType<CandidateResult> = z.object({
  ...model,
  kl: z.number(),
  klStandardError: z.number(),
  top1: z.number(),
  top1StandardError: z.number(),
  deltaNll: z.number(),
  deltaNllStandardError: z.number(),
  storedBitsPerWeight: z.number(),
  klWindows: windows,
  top1Windows: windows,
});
const saved: z.ZodType<EvalResult> = z.object({
  reference: z.object(model) as z.ZodType<ModelResult>,
  candidates: z.array(candidate).min(1),
});

/** The models of a saved result by their names. Fails with `file-missing` or `report-input`. */
export function readScored(path: string): ReadonlyMap<string, Scored> {
  return scoredOf(readChecked(path, saved));
}

/** The models of a result by their names: short ones where these differ. */
export function scoredOf({ reference, candidates }: EvalResult): ReadonlyMap<string, Scored> {
  const short = candidates.map(({ path }) => shortName(path));
  const isUnique = new Set(short).size === short.length;
  return new Map(
    candidates.map((score, at) => [isUnique ? (short[at] as string) : score.path, { score, reference }] as const),
  );
}
