/**
 * Texts and token ids from files. A `.txt` file is one document unless a separator splits it, a `.jsonl` file has one document
 * per line, an ids file has one JSON array of ids per line; each may be compressed (`.gz`).
 */
import { readFileSync } from 'node:fs';
import { gunzipSync } from 'node:zlib';
import { fail } from '../diagnostics.js';

export interface DocumentOptions {
  /** The field of a `.jsonl` line that holds the text. Default: text. */
  readonly field?: string;
  /** Splits a `.txt` file into documents, which are then trimmed; documents without text are dropped. */
  readonly separator?: RegExp;
  /** Documents with fewer characters (Unicode code points) are dropped. Default: 1. */
  readonly minCharacters?: number;
}

/** The documents of a text file, in order. */
export function readDocuments(path: string, options: DocumentOptions = {}): readonly string[] {
  const text = readText(path);
  const documents = /\.jsonl(\.gz)?$/i.test(path)
    ? linesOf(text).map(({ line, at }) => fieldOf(line, options.field ?? 'text', `${path}:${at}`))
    : partsOf(text, options.separator);
  const least = options.minCharacters ?? 1;
  const kept = documents.filter(
    (document) => document.length >= least && (document.length >= 2 * least || [...document].length >= least),
  );
  return kept.length > 0 ? kept : fail('empty-text', path, 'The file holds no text');
}

/** The windows of an ids file; every id must be a whole number below `vocabulary`, every window at least two ids long. */
export function readIds(path: string, vocabulary: number = Infinity): readonly Int32Array[] {
  const windows = linesOf(readText(path)).map(({ line, at }) => idsOf(line, vocabulary, `${path}:${at}`));
  return windows.length > 0 ? windows : fail('empty-text', path, 'The file holds no token ids');
}

/** Fails with `bad-ids` when a window has an id outside the vocabulary. */
export function requireIdsBelow(windows: readonly ArrayLike<number>[], vocabulary: number, at: string): void {
  for (const [index, window] of windows.entries()) {
    for (let position = 0; position < window.length; position++) {
      const id = window[position] as number;
      if (!(id >= 0 && id < vocabulary)) {
        fail('bad-ids', at, `Window ${index + 1} has the id ${id}, but the vocabulary has ${vocabulary} ids`);
      }
    }
  }
}

/** The text of a file, decompressed when its name ends in `.gz`. */
export function readText(path: string): string {
  const bytes = readBytes(path);
  const text = new TextDecoder('utf-8', { ignoreBOM: false });
  if (!/\.gz$/i.test(path)) return text.decode(bytes);
  try {
    return text.decode(gunzipSync(bytes));
  } catch {
    return fail('truncated', path, 'The file is not a complete gzip file');
  }
}

function readBytes(path: string): Uint8Array {
  try {
    return readFileSync(path);
  } catch (error) {
    return fail(
      'file-missing',
      path,
      `The file cannot be read (${(error as NodeJS.ErrnoException).code ?? 'unknown'})`,
    );
  }
}

function linesOf(text: string): readonly { readonly line: string; readonly at: number }[] {
  return text
    .split(/\r?\n/)
    .map((line, index) => ({ line, at: index + 1 }))
    .filter(({ line }) => line.trim() !== '');
}

function partsOf(text: string, separator: RegExp | undefined): readonly string[] {
  if (separator === undefined) return text.trim() === '' ? [] : [text];
  return text
    .split(separator)
    .map((part) => part.trim())
    .filter((part) => part !== '');
}

function fieldOf(line: string, field: string, at: string): string {
  const value = parse(line, 'bad-usage', at);
  const text = typeof value === 'object' && value !== null ? (value as Record<string, unknown>)[field] : undefined;
  return typeof text === 'string' ? text : fail('bad-usage', at, `The line has no text field ${JSON.stringify(field)}`);
}

function idsOf(line: string, vocabulary: number, at: string): Int32Array {
  const ids = parse(line, 'bad-ids', at);
  if (!Array.isArray(ids)) return fail('bad-ids', at, 'The line is not a JSON array of token ids');
  if (ids.length < 2) fail('bad-ids', at, 'A window needs at least two ids, because the first id is not predicted');
  const wrong = ids.find((id) => !Number.isInteger(id) || id < 0 || id >= Math.min(vocabulary, 2 ** 31));
  if (wrong !== undefined) {
    const bound = Number.isFinite(vocabulary) ? ` below ${vocabulary}` : '';
    fail('bad-ids', at, `${JSON.stringify(wrong)} is not a token id${bound}`);
  }
  return Int32Array.from(ids as number[]);
}

function parse(line: string, code: 'bad-ids' | 'bad-usage', at: string): unknown {
  try {
    return JSON.parse(line);
  } catch {
    return fail(code, at, 'The line is not JSON');
  }
}
