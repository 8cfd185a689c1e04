/**
 * An evaluation with one model open at a time: the reference's logits are kept in float32, so this is for few positions. What a model
 * takes while it is loaded is what bounds the memory: 1.4 to 1.6 times its files for Gemma 3 270M, with 0.3 times left afterwards.
 */
import type { Decoder } from '../runtime/decoder.js';
import type { OpenOptions } from '../runtime/runtime.js';
import { requireIdsBelow } from '../text/index.js';
import { finished, type GroupSettings, type GroupSums, type Opened, openModel } from './evaluate-group.js';
import type { CandidateSums, ModelSums } from './evaluate-result.js';
import { copyLogits, logitsFor } from './logits.js';
import { type CandidateScore, type ReferenceScore, scoreCandidate, scoreReference, type WindowScore } from './score.js';

/** What else is asked of a candidate, so that nobody has to load it again. */
export interface Visit {
  /** Session options of candidates, beside those of the evaluation. */
  readonly open: OpenOptions;
  /** Called after the windows of a candidate. */
  done(path: string, decoder: Decoder): Promise<void>;
}

/** Scores the reference over all windows, then one candidate after another. */
export async function evaluateApart(
  referencePath: string,
  paths: readonly string[],
  settings: GroupSettings,
  visit?: Visit,
): Promise<GroupSums> {
  const kept: ReferenceScore[] = [];
  const reference = await withModel<WindowScore>(referencePath, settings, async ({ decoder, path, scores }) => {
    for (const ids of settings.windows) {
      const logits = copyLogits(await logitsFor(decoder, ids));
      const score = await scoreReference(settings.pool, logits, ids, path);
      kept.push(score);
      scores.push({ nll: score.nll, positions: score.positions });
    }
  });
  const candidates: CandidateSums[] = [];
  const opening = { ...settings, open: { ...settings.open, ...visit?.open } };
  for (const [at, candidatePath] of paths.entries()) {
    const sums = await withModel<CandidateScore>(candidatePath, opening, async ({ decoder, path, scores }) => {
      for (const [index, ids] of settings.windows.entries()) {
        const score = kept[index] as ReferenceScore;
        scores.push(await scoreCandidate(settings.pool, await logitsFor(decoder, ids), ids, score, path));
      }
      await visit?.done(path, decoder);
    });
    candidates.push(sums);
    settings.progress.update({ stage: 'score', done: at + 1, total: paths.length });
  }
  return { reference, candidates };
}

async function withModel<S extends WindowScore>(
  path: string,
  settings: GroupSettings,
  score: (model: Opened<S>) => Promise<void>,
): Promise<ModelSums<S>> {
  settings.signal.throwIfAborted();
  const model = await openModel<S>(path, settings);
  try {
    for (const ids of settings.windows) requireIdsBelow([ids], model.decoder.vocabulary ?? Infinity, path);
    await score(model);
    return await finished(model, settings);
  } finally {
    await model.decoder.session.close();
  }
}
