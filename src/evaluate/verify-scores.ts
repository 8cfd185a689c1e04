/** Scores that limits ask for: the original runs once over the text for all candidates, as far as the verdicts need. */
import { fail } from '../diagnostics.js';
import type { Context } from '../log.js';
import { isDecided, LIMITS, type Wanted } from './budget/index.js';
import { evaluateUntil } from './evaluate-files.js';
import type { Enough } from './evaluate-group.js';
import { candidateResult, referenceResult } from './evaluate-result.js';
import type { EvalResult } from './evaluate-types.js';
import type { VerifyOptions } from './verify-types.js';

/** Looks before the end of the text must be clearer than the last one, since there are several of them. */
const EARLY_LEVEL = 0.99;

/** Whether a limit is on what a run over text shows. */
export const isOnText = ({ what }: Wanted): boolean => 'name' in what && LIMITS[what.name].on === 'text';

/** Scores the models of the limits, which are all on text. */
export async function scoresFor(
  wanted: readonly Wanted[],
  { original, text, window, windows, threads, memoryBytes }: VerifyOptions,
  context: Context,
): Promise<EvalResult> {
  if (text === undefined || original === undefined)
    return fail('bad-usage', 'verify', 'A threshold on quality needs a model to compare with, and text');
  const options = {
    reference: original,
    candidates: [...new Set(wanted.map(({ model }) => model.path))],
    text,
    window,
    threads,
    memoryBytes,
    speed: wanted.some(({ what }) => 'name' in what && what.name === 'minSpeed'),
    ...(typeof windows === 'number' && { windows }),
  };
  return evaluateUntil({ ...options, enough: windows === 'auto' ? enoughFor(wanted) : undefined }, context);
}

/** A model is scored until its limits are decided. */
function enoughFor(wanted: readonly Wanted[]): Enough {
  const unknown = { loadSeconds: 0, loadedBytes: 0, speed: undefined };
  const sizes = { fileBytes: 0, downloadBytes: 0 };
  return (path, scores, referenceScores) => {
    const reference = { ...unknown, path: 'reference', scores: referenceScores };
    const candidate = candidateResult({ ...unknown, path, scores }, reference, sizes, 0);
    return isDecided(wanted, candidate, referenceResult(reference, sizes), EARLY_LEVEL);
  };
}
