/** The committed stories, split as their notice says. */
import { writeFileSync } from 'node:fs';
import { readDocuments } from '../../src/text/dataset.js';
import { loadTokenizer, type TextTokenizer } from '../../src/text/tokenizer.js';
import { windowsOf } from '../../src/text/tokens.js';
import { fixture } from './paths.js';

export const mistral: string = fixture('models/mistral-656k/model.onnx');
export const gemma3: string = fixture('models/gemma3-tiny/model.onnx');

export const stories = (): readonly string[] =>
  readDocuments(fixture('text/stories-excerpt.txt'), {
    separator: /\n+(?=Once upon a time|One day, )/,
    minCharacters: 300,
  });

export const storyTokenizer = (): TextTokenizer => loadTokenizer(fixture('models/mistral-656k/tokenizer.json'));

/** The 84 held-out stories, each its own window of at most 256 ids; or the first `count` of them. */
export const heldWindows = (count = 84): readonly Int32Array[] =>
  windowsOf(stories().slice(-84).slice(0, count), storyTokenizer(), { length: 256, bos: 1, perDocument: true }).windows;

/** Writes windows as an ids file, one JSON array a line, and returns its path. */
export function writeIds(path: string, windows: readonly Int32Array[]): string {
  writeFileSync(path, windows.map((window) => `${JSON.stringify([...window])}\n`).join(''));
  return path;
}
