/** The embedding model beside a decoder: by its name, and only where token ids are all it takes. */
import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, expect, it } from '@jest/globals';
import { exportModel } from '../../src/onnx/convert/export.js';
import { GraphBuilder } from '../../src/onnx/rewrite/builder.js';
import { embeddingBeside } from '../../src/runtime/embedding-file.js';
import { readHints } from '../../src/runtime/hints.js';
import { temporaryFolder } from '../support/paths.js';
import { toyWeight } from '../support/toy.js';

const root = temporaryFolder();
afterAll(() => rmSync(root, { recursive: true }));

/** Writes embedding models of some names into a folder; `images`: they take features of images too. */
function folderOf(name: string, names: readonly string[], images = false): string {
  const folder = join(root, name);
  mkdirSync(folder);
  for (const each of names) {
    const b = new GraphBuilder({ opset: 18 });
    const ids = b.input('input_ids', 'int64', ['batch', 'tokens']);
    const x = b.op('Gather', [b.constant(toyWeight(8, 4, 1), 'table'), ids]);
    const all = images ? b.op('Add', [x, b.input('image_features', 'float32', ['images', 4])]) : x;
    b.output(all, 'inputs_embeds', { dtype: 'float32', shape: ['batch', 'tokens', 4] });
    exportModel(b.model(), join(folder, each));
  }
  return folder;
}

it.each<[string, readonly string[], string]>([
  ['float', ['embed_tokens_fp16.onnx', 'embed_tokens.onnx', 'embed_tokens_q4.onnx'], 'embed_tokens.onnx'],
  ['float16', ['embed_tokens_q4.onnx', 'embed_tokens_fp16.onnx'], 'embed_tokens_fp16.onnx'],
  ['quantized', ['embed_tokens_q4.onnx'], 'embed_tokens_q4.onnx'],
  ['float32', ['embed_tokens_fp16.onnx', 'embed_tokens_fp32.onnx'], 'embed_tokens_fp32.onnx'],
  ['GenAI', ['embedding.onnx', 'vision.onnx'], 'embedding.onnx'],
])('is found: %s', (name, files, found) => {
  const folder = folderOf(name, files);
  expect(embeddingBeside(join(folder, 'decoder_model_merged.onnx'))).toBe(join(folder, found));
  expect(readHints(join(folder, 'decoder_model_merged.onnx')).embedding).toBe(join(folder, found));
});

it('is not one that takes images too, and not one that cannot be read', () => {
  const folder = folderOf('images', ['embedding.onnx'], true);
  writeFileSync(join(folder, 'embed_tokens.onnx'), 'no model');
  expect(embeddingBeside(join(folder, 'model.onnx'))).toBeUndefined();
  expect(embeddingBeside(join(root, 'nowhere', 'model.onnx'))).toBeUndefined();
});
