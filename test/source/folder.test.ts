import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from '@jest/globals';
import { silentContext } from '../../src/log.js';
import { hubEnvironment } from '../../src/source/environment.js';
import { chooseGraph, companionsOf, partsOf } from '../../src/source/folder.js';
import { defaultOutput, openInput, warnOfLicence } from '../../src/source/input.js';
import { readCard } from '../../src/source/model-card.js';
import { readZipEntry } from '../../src/source/zip.js';
import { temporaryFolder } from '../support/paths.js';

const root = temporaryFolder();
afterAll(() => rmSync(root, { recursive: true }));

describe('the graphs beside a decoder', () => {
  const all = [
    'onnx/decoder_model_merged.onnx',
    'onnx/embed_tokens_q4f16.onnx',
    'onnx/embed_tokens_fp16.onnx',
    'onnx/vision_encoder_q4.onnx',
    'onnx/vision_encoder.onnx',
    'other/audio_encoder.onnx',
  ];

  it('are one form of each: float, then float16', () => {
    const parts = ['onnx/vision_encoder.onnx', 'onnx/embed_tokens_fp16.onnx'];
    expect([...partsOf(all, 'onnx/decoder_model_merged.onnx')].sort()).toEqual(parts.sort());
  });

  it('are none without an embedding: encoders of another model lie there', () => {
    expect(partsOf(['encoder_model.onnx', 'decoder_model_merged.onnx'], 'decoder_model_merged.onnx')).toEqual([]);
  });
});

describe('the graph of a folder', () => {
  it.each<[string, readonly string[], string]>([
    [
      'transformers.js',
      ['onnx/model.onnx', 'onnx/model_q4.onnx', 'onnx/model_fp16.onnx', 'onnx/model_int8.onnx', 'onnx/model_bnb4.onnx'],
      'onnx/model.onnx',
    ],
    [
      'optimum',
      ['decoder_model.onnx', 'decoder_model_merged.onnx', 'decoder_with_past_model.onnx'],
      'decoder_model_merged.onnx',
    ],
    [
      'GenAI',
      ['cpu_and_mobile/cpu-int4-rtn-block-32/model.onnx', 'cpu/cpu-fp32/model.onnx', 'cuda/cuda-fp16/model.onnx'],
      'cpu/cpu-fp32/model.onnx',
    ],
    [
      'parts beside it',
      ['onnx/vision_encoder.onnx', 'onnx/embed_tokens.onnx', 'onnx/decoder_model_merged.onnx'],
      'onnx/decoder_model_merged.onnx',
    ],
    ['another name', ['gemma.onnx', 'gemma.onnx_data'], 'gemma.onnx'],
    ['half precision alone', ['onnx/model_fp16.onnx', 'onnx/model_q4f16.onnx'], 'onnx/model_fp16.onnx'],
  ])('%s', (_, paths, graph) => {
    expect(chooseGraph(paths, undefined, 'model')).toBe(graph);
  });

  it('is asked for where several may be meant', () => {
    const paths = ['a/model.onnx', 'b/model.onnx'];
    const choose = (file?: string) => () => chooseGraph(paths, file, 'model');
    expect(choose()).toThrow(
      expect.objectContaining({
        code: 'several-graphs',
        message: expect.stringContaining('a/model.onnx, b/model.onnx'),
      }),
    );
    expect(choose('model.onnx')).toThrow(expect.objectContaining({ code: 'several-graphs' }));
    expect(choose('c.onnx')).toThrow(expect.objectContaining({ code: 'no-graph' }));
    expect(choose('./b/model.onnx')()).toBe('b/model.onnx');
  });

  it('is not one that is quantized, unless it is asked for', () => {
    const paths = ['onnx/model_q4.onnx', 'README.md'];
    expect(() => chooseGraph(paths, undefined, 'model')).toThrow(expect.objectContaining({ code: 'no-graph' }));
    expect(() => chooseGraph(['README.md'], undefined, 'model')).toThrow(expect.objectContaining({ code: 'no-graph' }));
    expect(chooseGraph(paths, 'model_q4.onnx', 'model')).toBe('onnx/model_q4.onnx');
  });
});

it('takes the configuration that is nearest to the graph', () => {
  const paths = [
    'config.json',
    'cpu/a/config.json',
    'cpu/b/config.json',
    'cpu/a/genai_config.json',
    'LICENSE.txt',
    'x.py',
  ];
  expect(companionsOf(paths, 'cpu/a/model.onnx')).toEqual([
    'cpu/a/config.json',
    'cpu/a/genai_config.json',
    'config.json',
    'LICENSE.txt',
  ]);
});

it('reads licence and base model from the head of a card', () => {
  const card = (text: string): unknown => {
    writeFileSync(join(root, 'README.md'), text);
    return readCard(join(root, 'README.md'));
  };
  expect(card('---\nlicense: "apache-2.0" # free\nbase_model: org/a\n---\n')).toEqual({
    licence: 'apache-2.0',
    baseModel: 'org/a',
  });
  expect(card('---\r\nbase_model:\r\n  - org/a\r\n  - org/b\r\nlicense: other\r\nlicense_name: gemma\r\n---')).toEqual({
    licence: 'gemma',
    baseModel: 'org/a',
  });
  expect(card('---\nbase_model: [org/a, org/b]\ntags:\n- x\n---\nlicense: mit\n')).toEqual({ baseModel: 'org/a' });
  expect(card('# license: mit\n')).toEqual({});
});

it('warns of a card without a licence, and of nothing else', async () => {
  const warned: string[] = [];
  const context = { ...silentContext(), log: { info: () => {}, warn: (text: string) => void warned.push(text) } };
  const folder = join(root, 'cardless');
  mkdirSync(folder);
  writeFileSync(join(folder, 'model.onnx'), '');
  warnOfLicence(await openInput(folder, {}, context), context);
  expect(warned).toEqual([]);
  writeFileSync(join(folder, 'README.md'), '# Model\n');
  warnOfLicence(await openInput(join(folder, 'model.onnx'), {}, context), context);
  expect(warned.join()).toContain('[licence-missing]');
});

it('says where a set goes by default', () => {
  expect(defaultOutput('models/gemma.onnx')).toBe(join('models', 'gemma-matquant'));
  expect(defaultOutput('models/gemma/')).toBe(join('models', 'gemma-matquant'));
  expect(defaultOutput('hf:org/gemma@main')).toBe('gemma-matquant');
});

it('reads the variables of the tools of the hub', () => {
  expect(hubEnvironment({ HF_HOME: '/h', HF_TOKEN: 'hf_x\n', HF_HUB_OFFLINE: '1', HF_ENDPOINT: 'http://e/' })).toEqual({
    endpoint: 'http://e',
    cache: join('/h', 'hub'),
    texts: join('/h', 'matquant'),
    token: 'hf_x',
    offline: true,
  });
  const { cache, offline, endpoint } = hubEnvironment({
    HF_HOME: '/h',
    HF_HUB_CACHE: '/c',
    HF_HUB_OFFLINE: '0',
    HF_TOKEN: '',
  });
  expect([cache, offline, endpoint]).toEqual(['/c', false, 'https://huggingface.co']);
});

it('reads an entry of a ZIP archive, and no damaged one', () => {
  // Python's zlib made the second one's contents.
  const archive = zip([
    { name: 'a.txt', method: 0, packed: Buffer.from('hi\n'), bytes: 3 },
    { name: 'd/b.txt', method: 8, packed: Buffer.from('4b4a220e0000', 'hex'), bytes: 40 },
  ]);
  expect(readZipEntry(archive, 'a.txt')?.toString()).toBe('hi\n');
  expect(readZipEntry(archive, 'b.txt')?.toString()).toBe('b'.repeat(40));
  expect(readZipEntry(archive, 'c.txt')).toBeUndefined();
  expect(readZipEntry(Buffer.alloc(50), 'a.txt')).toBeUndefined();
});

interface Entry {
  readonly name: string;
  readonly method: number;
  readonly packed: Buffer;
  readonly bytes: number;
}

/** An archive by APPNOTE 6.3: local headers with contents, central directory, end. */
function zip(entries: readonly Entry[]): Buffer {
  const locals: Buffer[] = [];
  const central: Buffer[] = [];
  let at = 0;
  for (const { name, method, packed, bytes } of entries) {
    const local = Buffer.alloc(30);
    local.writeUInt32LE(0x04034b50, 0);
    local.writeUInt16LE(name.length, 26);
    const entry = Buffer.alloc(46);
    entry.writeUInt32LE(0x02014b50, 0);
    entry.writeUInt16LE(method, 10);
    entry.writeUInt32LE(packed.length, 20);
    entry.writeUInt32LE(bytes, 24);
    entry.writeUInt16LE(name.length, 28);
    entry.writeUInt32LE(at, 42);
    locals.push(local, Buffer.from(name), packed);
    central.push(entry, Buffer.from(name));
    at += 30 + name.length + packed.length;
  }
  const end = Buffer.alloc(22);
  end.writeUInt32LE(0x06054b50, 0);
  end.writeUInt16LE(entries.length, 10);
  end.writeUInt32LE(at, 16);
  return Buffer.concat([...locals, ...central, end]);
}
