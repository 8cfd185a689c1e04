/**
 * Texts to windows of token ids, in one of two ways. *Joined*: documents are tokenized alone, their ids joined with nothing
 * between and cut from the start into pieces, and a window is BOS + piece; the last, partial piece is dropped unless it is the
 * only one. *Per document*: each document is one window, BOS + its ids, cut to the window's length.
 */
import { fail } from '../diagnostics.js';
import type { TextTokenizer } from './tokenizer.js';

export interface WindowOptions {
  /** Ids per window, BOS included. */
  readonly length: number;
  /** The id at the start of every window, or undefined for none. */
  readonly bos: number | undefined;
  /** Each document is its own window. Default: false. */
  readonly perDocument?: boolean;
  /** Stop after so many windows. Default: all. */
  readonly limit?: number;
  /** Ids of the model's vocabulary; a larger id is `bad-ids`. */
  readonly vocabulary?: number;
}

export interface TokenWindows {
  readonly windows: readonly Int32Array[];
  /** Where texts are joined: BOS and what is left behind the last whole window, when that is all of the text. */
  readonly tail: Int32Array | undefined;
  /** Documents that were tokenized; fewer than given when the limit was reached. */
  readonly documents: number;
  /** Text tokens in the windows (without BOS). */
  readonly tokens: number;
  /** Text tokens that were tokenized but are in no window. */
  readonly dropped: number;
}

/** Cuts `documents` into windows. Fails with `empty-text` when there is not one position to score, or with `bad-ids`. */
export function windowsOf(documents: Iterable<string>, tokenizer: TextTokenizer, options: WindowOptions): TokenWindows {
  const { length, limit = Infinity, bos } = options;
  if (!Number.isInteger(length) || length < 2)
    fail('bad-usage', 'window', `A window of ${length} ids predicts no token`);
  const result = options.perDocument
    ? alone(documents, tokenizer, options, limit)
    : joined(documents, tokenizer, options, limit);
  if (bos !== undefined) checkId(bos, options, tokenizer);
  if (result.windows.length > 0) return result;
  return fail('empty-text', tokenizer.path, `The text has ${result.dropped} tokens, too few to predict one`);
}

function joined(
  documents: Iterable<string>,
  tokenizer: TextTokenizer,
  options: WindowOptions,
  limit: number,
): TokenWindows {
  const { length, bos } = options;
  const size = length - (bos === undefined ? 0 : 1);
  const windows: Int32Array[] = [];
  let [count, total] = [0, 0];
  let piece: number[] = [];
  for (const document of documents) {
    count++;
    const ids = tokenizer.encode(document);
    total += ids.length;
    for (const id of ids) {
      piece.push(checkId(id, options, tokenizer));
      if (piece.length === size && windows.length < limit) windows.push(windowFrom(bos, piece));
      if (piece.length === size) piece = [];
    }
    if (windows.length >= limit) break;
  }
  if (windows.length > 0) return { ...summary(windows, count, total, bos), tail: tailFrom(bos, piece) };
  if (piece.length + length - size >= 2) windows.push(windowFrom(bos, piece));
  return summary(windows, count, total, bos);
}

const tailFrom = (bos: number | undefined, piece: readonly number[]): Int32Array | undefined =>
  piece.length === 0 ? undefined : windowFrom(bos, piece);

function alone(
  documents: Iterable<string>,
  tokenizer: TextTokenizer,
  options: WindowOptions,
  limit: number,
): TokenWindows {
  const { length, bos } = options;
  const windows: Int32Array[] = [];
  let [count, total] = [0, 0];
  for (const document of documents) {
    if (windows.length >= limit) break;
    count++;
    const ids = tokenizer.encode(document);
    total += ids.length;
    const kept = ids.slice(0, length - (bos === undefined ? 0 : 1)).map((id) => checkId(id, options, tokenizer));
    const window = windowFrom(bos, kept);
    if (window.length >= 2) windows.push(window);
  }
  return summary(windows, count, total, bos);
}

function summary(
  windows: readonly Int32Array[],
  documents: number,
  total: number,
  bos: number | undefined,
): TokenWindows {
  const tokens = windows.reduce((sum, window) => sum + window.length - (bos === undefined ? 0 : 1), 0);
  return { windows, tail: undefined, documents, tokens, dropped: total - tokens };
}

const windowFrom = (bos: number | undefined, ids: readonly number[]): Int32Array =>
  Int32Array.from(bos === undefined ? ids : [bos, ...ids]);

function checkId(id: number, { vocabulary = Infinity }: WindowOptions, tokenizer: TextTokenizer): number {
  if (id >= 0 && id < vocabulary) return id;
  return fail(
    'bad-ids',
    tokenizer.path,
    `The tokenizer gives the id ${id}, but the vocabulary of the model has ${vocabulary} ids`,
  );
}
