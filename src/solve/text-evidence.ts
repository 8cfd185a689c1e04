/** Whether a text is enough for the inputs of a model, and how a recipe is solved where it is not. */
import type { Projection } from '../analysis/projection.js';
import {
  isEnough,
  needOf,
  type StatisticsHeader,
  type TextCounts,
  type TextNeed,
  textWeight,
} from '../capture/index.js';
import { isDefaultLambda, METHODS, type Recipe } from '../recipe/index.js';

/** How much text there was, and how much the widest projection needs. */
export interface TextEvidence extends TextCounts {
  readonly tokens: number;
  /** Inputs of the widest projection. */
  readonly widest: number;
  readonly needed: TextNeed;
  /** Weight of the text in the statistics of the widest projection; statistics of random ids have the rest. */
  readonly textWeight: number;
  /** True if the recipe is solved with the options of sets without text: see `recipeForLittleText`. */
  readonly isLittle: boolean;
}

/** Inputs up to which a recipe's own options wait for all the text that is needed: a window of 32,768 tokens is enough for any width. */
const WIDEST_WAITING = 2048;

/** Compares what a text has with what projections need. */
export function textEvidence(
  { tokens, counts = { contexts: tokens, ids: Number.POSITIVE_INFINITY } }: Pick<StatisticsHeader, 'tokens' | 'counts'>,
  projections: readonly Pick<Projection, 'k'>[],
  vocabulary: number,
): TextEvidence & { weightOf(k: number, share: number): number } {
  const widest = Math.max(1, ...projections.map(({ k }) => k));
  const weightOf = (k: number, share: number): number =>
    textWeight({ ...counts, contexts: share * counts.contexts }, k, vocabulary);
  return {
    tokens,
    contexts: counts.contexts,
    ids: Number.isFinite(counts.ids) ? counts.ids : 0,
    widest,
    needed: needOf(widest, vocabulary),
    textWeight: weightOf(widest, 1),
    isLittle: !isEnough(counts, Math.min(widest, WIDEST_WAITING), vocabulary),
    weightOf,
  };
}

/**
 * What little text is good for: statistics that differ little from those of random ids want the options that those are solved with, so
 * that no precision gets worse than without text. Weights of precisions that the user has chosen stay.
 */
export function recipeForLittleText(recipe: Recipe): Recipe {
  if (!METHODS[recipe.method].adapts) return recipe;
  const { damping, lambda } = recipe;
  return {
    ...recipe,
    ...FREE,
    damping: Math.max(damping, FREE.damping),
    lambda: isDefaultLambda(recipe) ? FREE.lambda : lambda,
  };
}

/** Of sets without text: weights that hold the higher precisions (t = 4 evens the fourfold errors of each bit less), and one sweep. */
export const FREE = { range: 'minmax', rounds: 1, sweeps: 1, damping: 0.1, lambda: 4 } as const;

/** One sentence for people. */
export function evidenceText({ tokens, contexts, ids, widest, needed, textWeight: weight }: TextEvidence): string {
  const had = `${tokens} calibration tokens with ${contexts} different contexts and ${ids} different ids`;
  const needs = `the widest projection (${widest} inputs) needs ${needed.contexts} and ${needed.ids}`;
  if (weight >= 1) return `${had}; ${needs}.`;
  const percent = (100 * weight).toPrecision(2);
  return `${had}; ${needs}. The text counts ${percent} % in its statistics, random token ids the rest: give more text.`;
}
