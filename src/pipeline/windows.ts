/** Token windows from what the user gave: a file of ids, or text with the model's tokenizer. */
import { readDocuments, readIds, requireIdsBelow } from '../calibrate/dataset.js';
import { bosOf, loadTokenizer } from '../calibrate/tokenizer.js';
import { windowsOf } from '../calibrate/tokens.js';
import { fail } from '../diagnostics.js';
import type { TextOptions } from './text-options.js';

export interface WindowsOptions {
  /** Ids per window, the first token included. */
  readonly window: number;
  /** Ids in every window, for a model that takes no other number: longer ones are cut, shorter ones left out. */
  readonly exactly?: number | undefined;
  /** Most windows; all by default. */
  readonly limit?: number | undefined;
  /** Ids of the model's vocabulary, when known. */
  readonly vocabulary?: number | undefined;
}

/** No tokenizer at hand needs more on average (prose takes four to five); a longer document is not tokenized to its end. */
const CHARACTERS_PER_TOKEN = 16;

/** The windows of a text option, in the order of the text. */
export function readWindows(text: TextOptions, options: WindowsOptions): readonly Int32Array[] {
  const { exactly } = options;
  if (exactly === undefined) return readAll(text, options);
  const windows = readAll(text, { ...options, window: exactly }).filter(({ length }) => length >= exactly);
  if (windows.length === 0)
    fail('empty-text', 'text', `The model takes texts of exactly ${exactly} tokens, and none is as long`);
  return windows.map((window) => window.slice(0, exactly));
}

function readAll(text: TextOptions, options: WindowsOptions): readonly Int32Array[] {
  const { window, limit, vocabulary } = options;
  if ('ids' in text) {
    const windows = readIds(text.ids, vocabulary);
    return limit === undefined ? windows : windows.slice(0, limit);
  }
  const tokenizer = loadTokenizer(text.tokenizer);
  const most = limit === undefined ? Infinity : limit * window * CHARACTERS_PER_TOKEN;
  const documents = text.files
    .flatMap((file) => readDocuments(file, { field: text.jsonlField }))
    .map((each) => each.slice(0, most));
  const { windows } = windowsOf(documents, tokenizer, {
    length: window,
    bos: bosOf(text.bos, tokenizer),
    ...(limit !== undefined && { limit }),
    ...(vocabulary !== undefined && { vocabulary }),
  });
  if (vocabulary !== undefined) requireIdsBelow(windows, vocabulary, text.tokenizer);
  return windows;
}
