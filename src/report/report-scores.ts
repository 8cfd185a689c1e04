/** Saved scores in the form of the report. */
import { basename } from 'node:path';
import { z } from 'zod';
import type { ReportEvaluation, ReportModel, Score, TaskAnswers } from './page/data.js';
import type { SavedEvaluation } from './report-schema.js';

const probed = z.object({
  kl: z.number(),
  top1: z.number(),
  deltaNll: z.number(),
  positions: z.number(),
  isRandom: z.boolean().default(false),
  scored: z.enum(['held-out text', 'calibration text', 'random ids']).optional(),
});

/** The comparison at the end of `compile`; undefined when it was not made. */
export function probeOf(
  quality: Readonly<Record<string, unknown>>,
  models: readonly ReportModel[],
): ReportEvaluation | undefined {
  const found = models.flatMap((model) => {
    const parsed = probed.safeParse(quality[model.name]);
    return parsed.success ? [{ model, probe: parsed.data }] : [];
  });
  const [first] = found;
  if (first === undefined) return undefined;
  const scores = found.map(({ model, probe: { kl, top1, deltaNll } }) => ({
    name: model.name,
    bytes: model.graphBytes + model.dataBytes,
    kl,
    top1,
    deltaNll,
  }));
  const { positions, isRandom, scored = isRandom ? 'random ids' : 'text' } = first.probe;
  return { name: 'probe', probe: scored, positions, scores };
}

/** Scores on text; undefined where there were only questions. */
export function evaluationOf(
  name: string,
  { reference, candidates }: SavedEvaluation,
  models: readonly ReportModel[],
): ReportEvaluation | undefined {
  if (reference === undefined) return undefined;
  const scores = candidates.map((candidate): Score => {
    const model = modelOf(candidate.path, models);
    const { kl, klStandardError, top1, nll, deltaNllStandardError, tokensPerSecond } = candidate;
    return {
      name: model?.name ?? basename(candidate.path),
      bytes: model ? model.graphBytes + model.dataBytes : (candidate.downloadBytes ?? candidate.fileBytes),
      kl,
      klStandardError,
      top1,
      nll,
      deltaNll: candidate.deltaNll ?? nll - reference.nll,
      deltaNllStandardError,
      tokensPerSecond: tokensPerSecond || undefined,
    };
  });
  return {
    name,
    positions: reference.positions,
    reference: {
      name: basename(reference.path),
      nll: reference.nll,
      bytes: reference.downloadBytes ?? reference.fileBytes,
      tokensPerSecond: reference.tokensPerSecond || undefined,
    },
    scores,
  };
}

/** Answers to questions; undefined where there were none. */
export function tasksOf(
  name: string,
  { tasks }: SavedEvaluation,
  models: readonly ReportModel[],
): TaskAnswers | undefined {
  if (tasks === undefined) return undefined;
  return {
    name,
    rows: tasks.map(({ path, ...rest }) => ({ ...rest, model: modelOf(path, models)?.name ?? basename(path) })),
  };
}

/** The graph of the set that goes by this file name. */
const modelOf = (path: string, models: readonly ReportModel[]): ReportModel | undefined =>
  models.find(({ file }) => file === basename(path));
