import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from '@jest/globals';
import { mergeHints, readHints } from '../../src/runtime/hints.js';
import { temporaryFolder } from '../support/paths.js';

const folderWith = (files: Readonly<Record<string, unknown>>): string => {
  const folder = temporaryFolder();
  for (const [name, json] of Object.entries(files)) writeFileSync(join(folder, name), JSON.stringify(json));
  return folder;
};

describe('readHints', () => {
  it('reads what onnxruntime-genai writes, before what transformers writes', () => {
    const genai = {
      model: { bos_token_id: 2, decoder: { head_size: 256, sliding_window: { window_size: 512 } }, vocab_size: 9 },
    };
    const folder = folderWith({ 'genai_config.json': genai, 'config.json': { head_dim: 1, bos_token_id: 7 } });
    expect(readHints(join(folder, 'model.onnx'))).toEqual({ headDim: 256, window: 512, bos: 2 });
  });

  it('reads config.json, nested text configurations and implied head widths', () => {
    const nested = folderWith({ 'config.json': { text_config: { head_dim: 128, sliding_window: 1024 } } });
    expect(readHints(join(nested, 'model.onnx'))).toEqual({ headDim: 128, window: 1024 });
    const implied = folderWith({
      'config.json': { hidden_size: 96, num_attention_heads: 4, sliding_window: null },
      'generation_config.json': { bos_token_id: 1 },
    });
    expect(readHints(join(implied, 'model.onnx'))).toEqual({ headDim: 24, bos: 1 });
  });

  it('looks into the parent folder, and takes broken or missing files for silence', () => {
    const folder = folderWith({ 'config.json': { head_dim: 64 } });
    mkdirSync(join(folder, 'onnx'));
    writeFileSync(join(folder, 'onnx', 'config.json'), '{');
    expect(readHints(join(folder, 'onnx', 'model.onnx'))).toEqual({ headDim: 64 });
    expect(readHints(join(temporaryFolder(), 'deep', 'model.onnx'))).toEqual({});
  });
});

describe('mergeHints', () => {
  it('keeps the first known value of each field', () => {
    expect(mergeHints({ headDim: 1 }, { headDim: 2, window: 3 }, { bos: 4 })).toEqual({
      headDim: 1,
      window: 3,
      bos: 4,
    });
  });
});
