/** What is mutated: fixture models and a generated decoder that compiles in a fraction of a second. */
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { exportModel } from '../../src/onnx/convert/export.js';
import { generatedDecoder } from '../generated-decoder.js';
import { fixture } from './target.js';

/** Files of one folder by name. */
export type Files = Readonly<Record<string, Uint8Array>>;

/** Vocabulary of the fixtures' tokenizer. */
const VOCABULARY = 2048;

/** Writes the generated decoder into `folder` as model.onnx and model.onnx.data. */
export function writeTiny(folder: string, layers = 1): string {
  mkdirSync(folder, { recursive: true });
  const path = join(folder, 'model.onnx');
  const shape = { layers, hidden: 64, ffn: 128, heads: 2, kvHeads: 1, vocabulary: VOCABULARY, context: 256 };
  exportModel(generatedDecoder({ ...shape, seed: 1, dtype: 'float32' }), path);
  return path;
}

/** model.onnx and its data in `folder`. */
export function readModel(folder: string): Files {
  const names = readdirSync(folder).filter((name) => name.startsWith('model.onnx'));
  return Object.fromEntries(names.map((name) => [name, new Uint8Array(readFileSync(join(folder, name)))]));
}

/** The models by name, the generated one made below `scratch`. */
export function baseModels(scratch: string): Readonly<Record<string, Files>> {
  const folder = join(scratch, 'tiny');
  writeTiny(folder);
  const fixtures = ['mistral-656k', 'gemma3-tiny'].map((name) => [name, readModel(fixture(`models/${name}`))] as const);
  return { tiny: readModel(folder), ...Object.fromEntries(fixtures) };
}

/** Windows of token ids, one JSON array a line. */
export function writeIds(path: string, windows: number, length = 48): string {
  const lines = Array.from({ length: windows }, (_, row) =>
    JSON.stringify([
      1,
      ...Array.from({ length: length - 1 }, (_, at) => 3 + ((row * 7919 + at * at * 31 + at * 17) % 2000)),
    ]),
  );
  writeFileSync(path, `${lines.join('\n')}\n`);
  return path;
}
