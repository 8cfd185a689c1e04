/**
 * Multiple-choice items from `.jsonl` files, in two forms: a query with several choices, `{"query", "choices", "gold"}`, and
 * several contexts with one continuation, `{"context_options", "continuation", "gold"}` (Winogrande).
 */

import { fail } from '../diagnostics.js';
import { readText } from '../text/index.js';

/** One item: every answer is a context and an ending whose likelihood is compared. */
export interface TaskItem {
  readonly answers: readonly { readonly context: string; readonly ending: string }[];
  /** Index of the right answer. */
  readonly gold: number;
}

/** Reads the items of a file; fails with `bad-usage` at the line that is not an item. */
export function readTask(path: string): readonly TaskItem[] {
  const lines = readText(path).split(/\r?\n/);
  const items = lines.flatMap((line, index) => (line.trim() === '' ? [] : [itemOf(line, `${path}:${index + 1}`)]));
  return items.length > 0 ? items : fail('empty-text', path, 'The file holds no items');
}

type Fields = Readonly<Record<string, unknown>>;

function itemOf(line: string, at: string): TaskItem {
  const fields = parsed(line, at);
  const answers =
    answersOf(fields) ??
    fail('bad-usage', at, 'The line has neither query and choices nor context_options and continuation');
  const { gold } = fields;
  const isIndex = typeof gold === 'number' && Number.isInteger(gold) && gold >= 0 && gold < answers.length;
  return isIndex ? { answers, gold } : fail('bad-usage', at, 'gold is not the index of an answer');
}

function answersOf({
  query,
  choices,
  continuation,
  context_options: contexts,
}: Fields): TaskItem['answers'] | undefined {
  if (isTexts(contexts) && typeof continuation === 'string') {
    return contexts.map((context) => ({ context, ending: ` ${continuation}` }));
  }
  if (!isTexts(choices) || typeof query !== 'string') return undefined;
  return choices.map((choice) => ({ context: promptOf(query), ending: ` ${choice}` }));
}

/** Questions are answered on a line of their own (ARC, PIQA); anything else is simply continued (COPA). */
const promptOf = (query: string): string =>
  /^Question:/.test(query) ? `${query.trimEnd()}\nAnswer:` : query.trimEnd();

const isTexts = (value: unknown): value is readonly string[] =>
  Array.isArray(value) && value.length >= 2 && value.every((text) => typeof text === 'string');

function parsed(line: string, at: string): Fields {
  try {
    const value: unknown = JSON.parse(line);
    if (typeof value === 'object' && value !== null) return value as Fields;
  } catch {
    // Falls through to the same sentence as for JSON that is not an object.
  }
  return fail('bad-usage', at, 'The line is not a JSON object');
}
