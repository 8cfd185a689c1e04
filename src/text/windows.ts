/** Token windows from what the user gave: a file of ids, or text with the model's tokenizer. */

import { fail } from '../diagnostics.js';
import type { Log } from '../log.js';
import { readDocuments, readIds, requireIdsBelow } from './dataset.js';
import type { TextOptions } from './text-options.js';
import { bosOf, loadTokenizer } from './tokenizer.js';
import { type TokenWindows, windowsOf } from './tokens.js';

export interface WindowsOptions {
  /** Ids per window, the first token included. */
  readonly window: number;
  /** Ids in every window, for a model that takes no other number: longer ones are cut, shorter ones left out. */
  readonly exactly?: number | undefined;
  /** Most windows; all by default. */
  readonly limit?: number | undefined;
  /** Ids of the model's vocabulary, when known. */
  readonly vocabulary?: number | undefined;
  /** Told when windows begin without a token of their own although one was looked for. */
  readonly log?: Log | undefined;
}

/** No tokenizer at hand needs more on average (prose takes four to five); a longer document is not tokenized to its end. */
const CHARACTERS_PER_TOKEN = 16;

/** Text to learn from, and text behind it that nothing is learnt from. */
export interface SplitText {
  readonly windows: readonly Int32Array[];
  /** Windows beyond the limit, or what is left behind the last whole one; none where all of the text is in `windows`. */
  readonly held: readonly Int32Array[];
}

/** The windows of a text option, in the order of the text. */
export function readWindows(text: TextOptions, options: WindowsOptions): readonly Int32Array[] {
  return readFixed(text, options).windows;
}

/** The first `limit` windows, and up to `held` more. */
export function readSplit(
  text: TextOptions,
  { limit, held, ...options }: WindowsOptions & { readonly limit: number; readonly held: number },
): SplitText {
  const { windows, tail } = readFixed(text, { ...options, limit: limit + held });
  const more = windows.slice(limit);
  return { windows: windows.slice(0, limit), held: more.length === 0 && tail !== undefined ? [tail] : more };
}

function readFixed(text: TextOptions, options: WindowsOptions): Read {
  const { exactly } = options;
  if (exactly === undefined) return readAll(text, options);
  const { windows: all } = readAll(text, { ...options, window: exactly });
  const windows = all.filter(({ length }) => length >= exactly);
  if (windows.length === 0)
    fail('empty-text', 'text', `The model takes windows of exactly ${exactly} tokens, and no text is that long`);
  return { windows: windows.map((window) => window.slice(0, exactly)), tail: undefined };
}

type Read = Pick<TokenWindows, 'windows' | 'tail'>;

function readAll(text: TextOptions, options: WindowsOptions): Read {
  const { window, limit, vocabulary } = options;
  if ('ids' in text) {
    const windows = readIds(text.ids, vocabulary);
    return { windows: limit === undefined ? windows : windows.slice(0, limit), tail: undefined };
  }
  const tokenizer = loadTokenizer(text.tokenizer);
  const bos = bosOf(text.bos, tokenizer);
  if (bos === undefined && text.bos === 'auto')
    options.log?.info(
      `The tokenizer has no beginning-of-sequence token, so windows begin with the first token of the text; the option bos sets one.`,
    );
  const most = limit === undefined ? Infinity : limit * window * CHARACTERS_PER_TOKEN;
  const documents = text.files
    .flatMap((file) => readDocuments(file, { field: text.jsonlField }))
    .map((each) => each.slice(0, most));
  const { windows, tail } = windowsOf(documents, tokenizer, {
    length: window,
    bos,
    ...(limit !== undefined && { limit }),
    ...(vocabulary !== undefined && { vocabulary }),
  });
  if (vocabulary !== undefined) requireIdsBelow(windows, vocabulary, text.tokenizer);
  return { windows, tail };
}

/** Tokens in all windows. */
export const tokensIn = (windows: readonly Int32Array[]): number =>
  windows.reduce((sum, { length }) => sum + length, 0);

/** Number of the first token of each window in their text. */
export function startsOf(windows: readonly ArrayLike<number>[]): readonly number[] {
  let tokens = 0;
  return windows.map(({ length }) => {
    const start = tokens;
    tokens += length;
    return start;
  });
}
