/**
 * How much a text says of a model's activations. A Gram matrix has no larger rank than there were different activations, and tokens
 * alone do not count those: one sentence a thousand times over has thousands of tokens, random characters have few different ones.
 */

/** Counts of different activations in windows of token ids. */
export interface TextCounts {
  /** Different runs of an id with the two before it. */
  readonly contexts: number;
  /** Different ids. */
  readonly ids: number;
}

/** Counts that are enough for inputs of a width. */
export type TextNeed = TextCounts;

/**
 * Contexts for each input of a projection. TinyStories-656K, K = 384, block 32: with 1.7 a set solved under the plain Gram matrix has 3
 * times the divergence at int8 that it has with 25, with 6 it has 1.3 times as much.
 */
const CONTEXTS = 8;
/** Contexts for each input that random ids stand for. */
const RANDOM = 4;
/**
 * Different ids of a text by the root of its contexts (Heaps' law): 32,768 tokens of C4 have 39, of stories 15 to 18, but random
 * characters have 1.6. Contexts beyond what text with so few ids has are not counted.
 */
const RICHNESS = 16;
/**
 * Where Heaps' law leaves less than this share of the contexts, the text is unlike text, and each context counts less: .66 of 500 tokens
 * of stories, .013 of random characters.
 */
const UNLIKE_TEXT = 0.25;
/** A vocabulary that is this much used is not the limit. */
const VOCABULARY_SHARE = 0.25;

/** Counts the contexts and ids of windows. */
export function countText(windows: readonly ArrayLike<number>[]): TextCounts {
  const contexts = new Set<string>();
  const ids = new Set<number>();
  for (const window of windows) {
    for (let at = 0; at < window.length; at++) {
      const id = window[at] as number;
      ids.add(id);
      contexts.add(`${window[at - 2] ?? ''},${window[at - 1] ?? ''},${id}`);
    }
  }
  return { contexts: contexts.size, ids: ids.size };
}

/** What inputs of width `k` need, with a vocabulary of so many ids; 0 where that is not known. */
export function needOf(k: number, vocabulary: number): TextNeed {
  const contexts = CONTEXTS * k;
  const ids = Math.ceil(RICHNESS * Math.sqrt(contexts));
  return { contexts, ids: vocabulary === 0 ? 0 : Math.min(ids, Math.ceil(VOCABULARY_SHARE * vocabulary)) };
}

/** What Heaps' law leaves of the contexts of a text. */
function countedContexts({ contexts, ids }: TextCounts, vocabulary: number): number {
  const isLimited = vocabulary > 0 && ids < VOCABULARY_SHARE * vocabulary;
  return isLimited ? Math.min(contexts, Math.max(ids, (ids / RICHNESS) ** 2)) : contexts;
}

/** Whether a text is enough for inputs of width `k`. */
export const isEnough = (counts: TextCounts, k: number, vocabulary: number): boolean =>
  countedContexts(counts, vocabulary) >= CONTEXTS * k;

/**
 * The weight of what was measured on text beside what was measured without: n / (n + m) for n contexts and m = 4 K, and 1 where the text
 * is enough, so that then nothing else counts.
 */
export function textWeight(counts: TextCounts, k: number, vocabulary: number): number {
  if (isEnough(counts, k, vocabulary)) return 1;
  if (counts.contexts === 0) return 0;
  const counted = countedContexts(counts, vocabulary);
  const likeness = Math.min(1, counted / counts.contexts / UNLIKE_TEXT);
  const contexts = (counted * likeness) / k;
  return contexts / (contexts + RANDOM);
}
