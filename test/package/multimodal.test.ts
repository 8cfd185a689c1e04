/** Decoders of vectors with the embedding and the image encoder beside them, in the layout of transformers.js. */
import { execFileSync } from 'node:child_process';
import {
  copyFileSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { beforeAll, describe, expect, it } from '@jest/globals';
import { architecture } from '../../scripts/models/architectures.js';
import { decoderOf } from '../../scripts/models/decoder.js';
import { exporter } from '../../scripts/models/exporters.js';
import { SIZE } from '../../scripts/models/spec.js';
import { compile } from '../../src/compile/compile.js';
import { evaluate } from '../../src/evaluate/evaluate-files.js';
import { compile as compileModel } from '../../src/index.js';
import { silentContext } from '../../src/log.js';
import { exportModel } from '../../src/onnx/convert/export.js';
import type { Model } from '../../src/onnx/ir/graph.js';
import { GraphBuilder } from '../../src/onnx/rewrite/builder.js';
import { compileFor } from '../../src/package/index.js';
import { parseRecipe } from '../../src/recipe/recipe.js';
import { openDecoder } from '../../src/runtime/decoder.js';
import { generate } from '../../src/runtime/generate.js';
import { ortRuntime } from '../../src/runtime/ort.js';
import { captureMemory } from '../../src/solve/peak-memory.js';
import { openSource } from '../../src/source/source.js';
import { COMPILE } from '../support/compile.js';
import { fixture, root, temporaryFolder } from '../support/paths.js';
import { toyWeight } from '../support/toy.js';

const { hidden, vocabulary } = SIZE;
const folder = join(temporaryFolder(), 'three-files');
const decoder = join(folder, 'onnx/decoder_model_merged.onnx');
const ids = join(folder, 'ids.jsonl');

/** Vectors that are far from random ones: few directions, some tokens much larger than others. */
function embedTokens(): Model {
  const b = new GraphBuilder({ opset: 18 });
  const tokens = b.input('input_ids', 'int64', ['batch_size', 'sequence_length']);
  const [narrow, wide] = [toyWeight(vocabulary, 2, 3), toyWeight(2, hidden, 4)];
  const x = b.op('MatMul', [b.op('Gather', [b.constant(narrow, 'narrow'), tokens]), b.constant(wide, 'wide')]);
  b.output(x, 'inputs_embeds', { dtype: 'float32', shape: ['batch_size', 'sequence_length', hidden] });
  return b.model();
}

function visionEncoder(): Model {
  const b = new GraphBuilder({ opset: 18 });
  const pixels = b.input('pixel_values', 'float32', ['batch_size', 3, 4, 4]);
  const rows = b.op('Reshape', [pixels, b.integers([0, 1, 48])]);
  const features = b.op('MatMul', [rows, b.constant(toyWeight(48, hidden, 5), 'patch')]);
  b.output(features, 'image_features', { dtype: 'float32', shape: ['batch_size', 1, hidden] });
  return b.model();
}

const config = {
  model_type: 'gemma3',
  architectures: ['Gemma3ForConditionalGeneration'],
  image_token_index: 95,
  text_config: {
    model_type: 'gemma3_text',
    num_hidden_layers: 2,
    num_attention_heads: 4,
    num_key_value_heads: 1,
    head_dim: 16,
    hidden_size: hidden,
    vocab_size: vocabulary,
  },
};
const recipe = {
  method: 'best',
  bits: [8, 2],
  block: 32,
  window: 32,
  scope: 'ffn+attention',
  attentionBits: 2,
} as const;

beforeAll(() => {
  mkdirSync(join(folder, 'onnx'), { recursive: true });
  exportModel(decoderOf(architecture('gemma3Vectors'), exporter('js')), decoder);
  exportModel(embedTokens(), join(folder, 'onnx/embed_tokens.onnx'), {
    dataFile: 'embed_tokens.onnx_data',
    externalThreshold: 0,
  });
  exportModel(visionEncoder(), join(folder, 'onnx/vision_encoder_fp16.onnx'), {
    dataFile: 'vision_encoder_fp16.onnx_data',
  });
  writeFileSync(join(folder, 'onnx/vision_encoder_q4.onnx'), 'not read');
  writeFileSync(join(folder, 'config.json'), JSON.stringify(config));
  writeFileSync(join(folder, 'preprocessor_config.json'), '{}');
  for (const name of ['tokenizer.json', 'tokenizer_config.json', 'generation_config.json'])
    copyFileSync(fixture(`models/mistral-656k/${name}`), join(folder, name));
  const line = (seed: number): number[] => Array.from({ length: 32 }, (_, at) => 3 + ((seed * 11 + at * 7) % 90));
  writeFileSync(ids, Array.from({ length: 48 }, (_, seed) => JSON.stringify(line(seed))).join('\n'));
});

const klOf = async (set: string, model: string): Promise<number> => {
  const text = { ids };
  const common = { reference: model, candidates: [join(set, 'm_int2.onnx')], text, window: 32, windows: 8 };
  const { candidates } = await evaluate({ ...common, speed: false, threads: 1, memoryBytes: 2e9 }, silentContext());
  return candidates[0]?.kl as number;
};

describe('a decoder of vectors', () => {
  it('is found in its folder, and calibrated with the vectors that the model beside it makes', async () => {
    const warnings: string[] = [];
    const context = {
      ...silentContext(),
      log: { ...silentContext().log, warn: (text: string) => warnings.push(text) },
    };
    const output = join(temporaryFolder(), 'set');
    const input = { model: folder, output, name: 'm', text: { ids }, recipe: { ...recipe, bits: [...recipe.bits] } };
    const result = await compileModel({ ...input, threads: 1 }, context);
    expect(result.model).toMatchObject({
      graph: decoder,
      parts: [join(folder, 'onnx/embed_tokens.onnx'), join(folder, 'onnx/vision_encoder_fp16.onnx')],
    });
    expect(warnings.filter((text) => text.includes('random vectors'))).toEqual([]);

    // The same decoder without its embedding is calibrated with random vectors, of which those made here are far away.
    const alone = join(temporaryFolder(), 'model.onnx');
    exportModel(decoderOf(architecture('gemma3Vectors'), exporter('js')), alone);
    const [away, parsed] = [
      join(temporaryFolder(), 'away'),
      parseRecipe({ ...recipe, bits: [...recipe.bits] }, 'test'),
    ];
    await expect(
      compile({ ...COMPILE, model: alone, output: away, recipe: parsed, text: { ids } }, silentContext()),
    ).rejects.toMatchObject({ code: 'unsupported-model' });
    const free = parseRecipe({ ...recipe, method: 'data-free', bits: [...recipe.bits] }, 'test');
    await compile({ ...COMPILE, model: alone, output: away, recipe: free }, silentContext());
    const [near, far] = [await klOf(output, decoder), await klOf(away, decoder)];
    expect(near).toBeLessThan(far / 2);
  });

  it('needs the memory of the embedding too, while statistics are captured', () => {
    const parsed = parseRecipe({ method: 'best' }, 'test');
    const alone = join(temporaryFolder(), 'model.onnx');
    exportModel(decoderOf(architecture('gemma3Vectors'), exporter('js')), alone);
    const [together, without] = [decoder, alone].map((path) => captureMemory(openSource(path, parsed))) as [
      number,
      number,
    ];
    const files = ['embed_tokens.onnx', 'embed_tokens.onnx_data'].map(
      (name) => statSync(join(folder, 'onnx', name)).size,
    );
    expect(together - without).toBe(files.reduce((sum, bytes) => sum + bytes));
  });

  it('comes back as the whole folder for transformers.js, which generates with it', async () => {
    const output = join(temporaryFolder(), 'package');
    const input = { model: folder, output, recipe: { method: 'data-free', bits: [8, 4], block: 32 } } as const;
    const { models } = await compileFor({ ...input, for: ['transformers.js'], threads: 1 });
    expect(models['transformers.js']?.map(({ path }) => path)).toEqual([
      'onnx/decoder_model_merged_quantized.onnx',
      'onnx/decoder_model_merged_q4.onnx',
    ]);
    expect(readdirSync(join(output, 'onnx')).sort()).toEqual([
      'decoder_model_merged_q4.onnx',
      'decoder_model_merged_q4.onnx_data',
      'decoder_model_merged_quantized.onnx',
      'decoder_model_merged_quantized.onnx_data',
      'embed_tokens.onnx',
      'embed_tokens.onnx_data',
      'vision_encoder_fp16.onnx',
      'vision_encoder_fp16.onnx_data',
    ]);
    expect(existsSync(join(output, 'preprocessor_config.json'))).toBe(true);
    const written = JSON.parse(readFileSync(join(output, 'config.json'), 'utf8'))['transformers.js_config'];
    expect(written.dtype).toEqual({ embed_tokens: 'fp32', vision_encoder: 'fp16', decoder_model_merged: 'q4' });
    expect(written.use_external_data_format).toMatchObject({
      'embed_tokens.onnx': 1,
      'decoder_model_merged_q4.onnx': 1,
    });
    expect(readFileSync(join(output, 'README.md'), 'utf8')).toContain('AutoModelForImageTextToText');

    const prompt = [1, 80, 17, 62, 40];
    const code = `
      import { AutoModelForImageTextToText, env, Tensor } from '@huggingface/transformers';
      env.allowRemoteModels = false;
      env.localModelPath = ${JSON.stringify(dirname(output))};
      const ids = ${JSON.stringify(prompt)};
      const model = await AutoModelForImageTextToText.from_pretrained(${JSON.stringify(basename(output))});
      const input_ids = new Tensor('int64', BigInt64Array.from(ids, BigInt), [1, ids.length]);
      const attention_mask = new Tensor('int64', new BigInt64Array(ids.length).fill(1n), [1, ids.length]);
      const result = await model.generate({ input_ids, attention_mask, max_new_tokens: 8, min_new_tokens: 8, do_sample: false });
      console.log(JSON.stringify([...result.data].slice(ids.length).map(Number)));`;
    const printed = execFileSync(process.execPath, ['--input-type=module', '-e', code], {
      cwd: root,
      encoding: 'utf8',
    });
    const opened = await openDecoder(ortRuntime, join(output, 'onnx/decoder_model_merged_q4.onnx'), { threads: 1 });
    try {
      // The embedding beside it is used here too.
      expect(opened.inputs.map(({ role }) => role)).toContain('ids');
      const made = (await generate(opened, prompt, 8)).ids;
      expect(JSON.parse(printed.trim().split('\n').at(-1) as string)).toEqual(made);
    } finally {
      await opened.session.close();
    }
    rmSync(output, { recursive: true });
  });
});
