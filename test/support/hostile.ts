/**
 * Bad input of every kind: how to make it, what is typed, and the code that says what is wrong. A case gets a folder to write to;
 * whatever is typed would put its output into `out/` there.
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { ErrorCode } from '../../src/diagnostics.js';
import { HOSTILE_MODELS } from './hostile-models.js';
import { fixture } from './paths.js';

export interface HostileCase {
  readonly name: string;
  readonly code: ErrorCode;
  /** Prepares `folder` and returns the command line. */
  make(folder: string): readonly string[];
}

const model = fixture('models/mistral-656k/model.onnx');
const tokenizer = fixture('models/mistral-656k/tokenizer.json');
const compile = (folder: string, path: string, ...flags: readonly string[]): readonly string[] => [
  'compile',
  path,
  '-o',
  join(folder, 'out'),
  ...flags,
];

/** Compiles a good model with a file that is not: `{}` in the flags stands for its path. */
const withFile = (
  name: string,
  code: ErrorCode,
  file: string,
  content: () => string,
  flags: readonly string[],
): HostileCase => ({
  name,
  code,
  make(folder) {
    const path = join(folder, file);
    writeFileSync(path, content());
    return compile(folder, model, ...flags.map((flag) => (flag === '{}' ? path : flag)));
  },
});

const recipe = (name: string, content: string): HostileCase =>
  withFile(name, 'recipe', 'recipe.json', () => content, ['--recipe', '{}']);
const ids = (name: string, code: ErrorCode, content: string): HostileCase =>
  withFile(name, code, 'ids.jsonl', () => content, ['--preset', 'fast', '--ids', '{}']);
const text = (name: string, code: ErrorCode, content: string, file = 'text.txt'): HostileCase =>
  withFile(name, code, file, () => content, ['--preset', 'fast', '--text', '{}', '--tokenizer', tokenizer]);
const badTokenizer = (name: string, code: ErrorCode, file: string, content: () => string): HostileCase => ({
  name,
  code,
  make(folder) {
    const [path, good] = [join(folder, file), join(folder, 'text.txt')];
    writeFileSync(path, content());
    writeFileSync(good, 'Once upon a time there was a little girl who liked to play with her dog. '.repeat(20));
    return compile(folder, model, '--preset', 'fast', '--text', good, '--tokenizer', path);
  },
});
const set = (name: string, content: string, ...flags: readonly string[]): HostileCase => ({
  name,
  code: 'not-a-set',
  make(folder) {
    const path = join(folder, 'set.json');
    writeFileSync(path, content);
    return [...flags.map((flag) => (flag === '{}' ? path : flag)), '-o', join(folder, 'out', 'model.onnx')];
  },
});

/** The tokenizer of the good model with every id moved beyond its vocabulary of 2048. */
function movedTokenizer(): string {
  const parsed = JSON.parse(readFileSync(tokenizer, 'utf8')) as { model: { vocab: Record<string, number> } };
  const vocab = Object.entries(parsed.model.vocab).map(([token, id]) => [token, id + 5000]);
  return JSON.stringify({ ...parsed, model: { ...parsed.model, vocab: Object.fromEntries(vocab) } });
}

export const HOSTILE: readonly HostileCase[] = [
  ...HOSTILE_MODELS.map(({ name, code, make }) => ({
    name,
    code,
    make: (folder: string) => compile(folder, make(folder), '--preset', 'data-free'),
  })),
  recipe('a recipe with an unknown key', '{"method": "data-free", "colour": "red"}'),
  recipe('a recipe with a value of the wrong type', '{"method": "data-free", "block": "wide"}'),
  recipe('a recipe that is not JSON', '{"method": '),
  recipe('a recipe that is a list', '[1, 2]'),
  recipe('a recipe with an unknown preset', '{"preset": "bets"}'),
  recipe('a recipe with an override that is no expression', '{"method": "data-free", "overrides": [{"match": "("}]}'),
  text('empty calibration text', 'empty-text', ''),
  text('calibration text of blanks', 'empty-text', ' \n\t\n'),
  text('a line that is not JSON', 'bad-usage', '{"text": "a"}\nno\n', 'text.jsonl'),
  text('a line without the text field', 'bad-usage', '{"body": "a"}\n', 'text.jsonl'),
  ids('an empty file of ids', 'empty-text', ''),
  ids('ids beyond the vocabulary', 'bad-ids', '[1, 2, 3, 2048]\n'),
  ids('negative ids', 'bad-ids', '[1, -2, 3]\n'),
  ids('fractional ids', 'bad-ids', '[1, 2.5, 3]\n'),
  ids('ids that are not a list', 'bad-ids', '{"ids": [1, 2]}\n'),
  badTokenizer('a tokenizer whose ids exceed the vocabulary', 'bad-ids', 'tokenizer.json', movedTokenizer),
  badTokenizer('a tokenizer that is not JSON', 'bad-tokenizer', 'tokenizer.json', () => 'no'),
  badTokenizer('a tokenizer of another kind', 'bad-tokenizer', 'tokenizer.model', () => '\n\u000e\n\u0005<unk>'),
  set('a set that is not JSON', 'no', 'slice', '{}', '--bits', '4'),
  set('a set that is another JSON file', '{"a": 1}', 'slice', '{}', '--bits', '4'),
  set('a mix of what is no set', '{"a": 1}', 'mix', '{}', '--avg-bits', '3'),
];
