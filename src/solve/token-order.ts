/** An order of token ids in which the frequent ones come first, so that their rows are together. */

import type { Recipe } from '../recipe/index.js';
import { type Source, vocabularyOf } from '../source/index.js';
import { readWindows, type TextOptions } from '../text/index.js';

/** Tokens of a text that are counted. */
const COUNTED = 2 ** 20;

/** Ids by how often the text has them, where the recipe sets frequent ones apart and there is text. */
export function orderOfText(
  source: Source,
  { recipe, text }: { readonly recipe: Recipe; readonly text?: TextOptions | undefined },
): TokenOrder | undefined {
  const vocabulary = vocabularyOf(source);
  if (recipe.frequentIds === undefined || vocabulary === undefined || text === undefined) return undefined;
  const { window } = recipe;
  return tokenOrder(readWindows(text, { window, limit: Math.ceil(COUNTED / window), vocabulary }), vocabulary);
}

/** Rows of a table in another order than ids. */
export interface TokenOrder {
  /** The id of each row. */
  readonly ids: Int32Array;
  /** The row of each id. */
  readonly rows: Int32Array;
}

/** Ids by how often windows have them, then by number. */
export function tokenOrder(windows: Iterable<Int32Array>, vocabulary: number): TokenOrder {
  const counts = new Uint32Array(vocabulary);
  for (const window of windows) for (const id of window) if (id < vocabulary) counts[id] = (counts[id] ?? 0) + 1;
  const ids = Int32Array.from({ length: vocabulary }, (_, id) => id).sort(
    (a, b) => (counts[b] ?? 0) - (counts[a] ?? 0) || a - b,
  );
  const rows = new Int32Array(vocabulary);
  for (const [row, id] of ids.entries()) rows[id] = row;
  return { ids, rows };
}
