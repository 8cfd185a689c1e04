/** Random token ids in place of text. */
import { fixedShapeOf } from '../analysis/fixed-shape.js';
import { createRandom, type Random } from '../random.js';
import { type Source, vocabularyOf } from '../source/index.js';

/** Windows and tokens in each that stand in for text. */
const WINDOWS = 64;
const TOKENS = 128;

type Shaped = Pick<Source, 'model' | 'analysis'>;

/**
 * Windows to learn from. Fitted to what a model makes of them, the tables of a data-free set lose little against real text
 * (TinyStories-656K, block 32, KL at int4 / int3 / int2: H = I .0184 / .0845 / .448, random ids .0169 / .0746 / .347, stories .0163 /
 * .0717 / .332). None for a model without a vocabulary of its own.
 */
export const madeWindows = (source: Shaped, seed: number): readonly Int32Array[] =>
  draw(source, createRandom(seed), WINDOWS, TOKENS);

/** Others to score, of `tokens` each. */
export const madeProbe = (source: Shaped, seed: number, tokens: number): readonly Int32Array[] =>
  draw(source, createRandom(seed).fork('probe'), 2, tokens);

function draw(source: Shaped, random: Random, count: number, tokens: number): readonly Int32Array[] {
  const vocabulary = vocabularyOf(source) ?? 0;
  if (vocabulary < 2) return [];
  const { length = tokens } = fixedShapeOf(source.model);
  return Array.from({ length: count }, () => Int32Array.from({ length }, () => random.integer(vocabulary)));
}
