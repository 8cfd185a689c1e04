/** What `--for` writes, loaded by those it is for: unmodified transformers.js, and the WASM build that it uses in browsers. */
import { execFileSync } from 'node:child_process';
import { readdirSync, readFileSync, statSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { beforeAll, describe, expect, it } from '@jest/globals';
import { compile } from '../../src/compile/index.js';
import { importModel } from '../../src/onnx/convert/import.js';
import { nodesOf } from '../../src/onnx/ir/graph.js';
import { compileFor } from '../../src/package/index.js';
import { openDecoder } from '../../src/runtime/decoder.js';
import { promptFeeds } from '../../src/runtime/feeds.js';
import { generate } from '../../src/runtime/generate.js';
import { ortRuntime } from '../../src/runtime/ort.js';
import type { HostTensor } from '../../src/runtime/runtime.js';
import { fixture, root, temporaryFolder } from '../support/paths.js';

const PROMPT = [1, 80, 147, 682, 80, 189, 111];
const COUNT = 12;
/** Small enough that the data of every model is cut. */
const CHUNK = 400_000;
const DTYPES = ['q8', 'q4', 'q4f16', 'q2', 'q2f16'] as const;
const graphs = {
  q8: 'model_quantized.onnx',
  q4: 'model_q4.onnx',
  q4f16: 'model_q4f16.onnx',
  q2: 'model_q2.onnx',
  q2f16: 'model_q2f16.onnx',
};

let folder: string;
beforeAll(async () => {
  folder = join(temporaryFolder(), 'model');
  await compileFor({
    model: fixture('models/mistral-656k/model.onnx'),
    output: folder,
    recipe: { method: 'data-free', bits: [8, 4, 2], embeddingBits: 4, block: 32 },
    for: ['transformers.js'],
    chunkBytes: CHUNK,
    float16: true,
    threads: 1,
  });
});

/** Runs a module in a process of its own, as users do, and gives the JSON that it prints last. */
function child(code: string): unknown {
  const output = execFileSync(process.execPath, ['--input-type=module', '-e', code], { cwd: root, encoding: 'utf8' });
  return JSON.parse(output.trim().split('\n').at(-1) as string);
}

const IDS = [1, 80, 147];

/** A graph with its data files. */
interface InFolder {
  readonly inside: string;
  readonly graph: string;
  readonly parts: readonly string[];
}

/** Logits of IDS from the WASM build with WebGPU, on the processor; one process for all models, because it compiles that build. */
function inWasm(models: readonly InFolder[]): readonly { dims: readonly number[]; logits: readonly number[] }[] {
  return child(`
      import { readFileSync } from 'node:fs';
      import * as ort from './node_modules/onnxruntime-web/dist/ort.webgpu.min.mjs';
      const dist = process.cwd() + '/node_modules/onnxruntime-web/dist/ort-wasm-simd-threaded.asyncify';
      ort.env.wasm.numThreads = 1;
      ort.env.wasm.wasmBinary = readFileSync(dist + '.wasm');
      ort.env.wasm.wasmPaths = { mjs: 'file://' + dist + '.mjs' };
      const all = [];
      for (const { inside, graph, parts } of ${JSON.stringify(models)}) {
        const read = (path) => new Uint8Array(readFileSync(inside + '/' + path));
        const externalData = parts.map((path) => ({ path, data: read(path) }));
        const session = await ort.InferenceSession.create(read(graph), { executionProviders: ['wasm'], externalData });
        const feeds = {};
        for (const name of session.inputNames) {
          const values = name === 'input_ids' ? ${JSON.stringify(IDS)} : name === 'position_ids' ? [0, 1, 2] : [1, 1, 1];
          feeds[name] = name.startsWith('past')
            ? new ort.Tensor('float32', new Float32Array(0), [1, 4, 0, 16])
            : new ort.Tensor('int64', BigInt64Array.from(values, BigInt), [1, 3]);
        }
        const { logits } = await session.run(feeds);
        all.push({ dims: logits.dims, logits: [...logits.data] });
      }
      console.log(JSON.stringify(all));`) as ReturnType<typeof inWasm>;
}

describe('a folder for transformers.js', () => {
  it('says how many data files each model has, none above the limit', () => {
    const config = JSON.parse(readFileSync(join(folder, 'config.json'), 'utf8'));
    const { use_external_data_format: chunks, dtype } = config['transformers.js_config'];
    const names = readdirSync(join(folder, 'onnx'));
    for (const graph of Object.values(graphs)) {
      const parts = names.filter((name) => name.startsWith(`${graph}_data`));
      expect(chunks[graph]).toBe(parts.length);
      expect(parts.length).toBeGreaterThan(1);
      for (const part of parts) expect(readFileSync(join(folder, 'onnx', part)).length).toBeLessThanOrEqual(CHUNK);
    }
    expect(dtype).toBe('q4');
  });

  it('has models in float16 over the same bytes, and says on its card what that costs', () => {
    const config = JSON.parse(readFileSync(join(folder, 'config.json'), 'utf8'));
    for (const bits of [4, 2] as const) {
      const [plain, half] = [graphs[`q${bits}`], graphs[`q${bits}f16`]];
      expect(config['transformers.js_config'].kv_cache_dtype[`q${bits}f16`]).toBe('float16');
      for (const end of ['_data', '_data_1']) {
        const [own, shared] = [plain, half].map((name) => statSync(join(folder, 'onnx', `${name}${end}`)).ino);
        expect(shared).toBe(own);
      }
      const { inputs } = importModel(join(folder, 'onnx', half)).graph;
      const caches = inputs.filter(({ name }) => name.startsWith('past'));
      expect(new Set(caches.map(({ type }) => type?.dtype))).toEqual(new Set(['float16']));
    }
    const card = readFileSync(join(folder, 'README.md'), 'utf8');
    expect(card).toMatch(/`q4f16` \| `onnx\/model_q4f16.onnx` \| [\d.]+ MB \| 4.56 \| – \| – \|/);
    const costs = /rounds: `q4f16` (\S+), `q2f16` (\S+)\.\n/.exec(card)?.slice(1).map(Number) ?? [];
    expect(costs).toHaveLength(2);
    // int8 activations are rounded otherwise by the smallest change; a cast in the wrong place costs 1 and more.
    for (const cost of costs) expect(cost > 0 && cost < 0.02).toBe(true);
  });

  it('is refused in float16 for other formats', async () => {
    const wrong = { model: fixture('models/mistral-656k/model.onnx'), output: join(folder, 'no'), float16: true };
    await expect(compileFor({ ...wrong, for: ['genai'] })).rejects.toMatchObject({ code: 'bad-usage', at: 'float16' });
  });

  it('generates the text that this runtime generates with the same graphs, at every dtype', async () => {
    const generated = child(`
      import { AutoModelForCausalLM, env, Tensor } from '@huggingface/transformers';
      env.allowRemoteModels = false;
      env.localModelPath = ${JSON.stringify(dirname(folder))};
      const ids = ${JSON.stringify(PROMPT)};
      const inputs = new Tensor('int64', BigInt64Array.from(ids, BigInt), [1, ids.length]);
      const all = {};
      for (const dtype of ${JSON.stringify(DTYPES)}) {
        const model = await AutoModelForCausalLM.from_pretrained(${JSON.stringify(basename(folder))}, { dtype });
        const attention_mask = new Tensor('int64', new BigInt64Array(ids.length).fill(1n), [1, ids.length]);
        const options = { max_new_tokens: ${COUNT}, min_new_tokens: ${COUNT}, do_sample: false };
        const result = await model.generate({ inputs, attention_mask, ...options });
        all[dtype] = [...result.data].slice(ids.length).map(Number);
      }
      console.log(JSON.stringify(all));`) as Readonly<Record<string, readonly number[]>>;
    for (const dtype of DTYPES) {
      const decoder = await openDecoder(ortRuntime, join(folder, 'onnx', graphs[dtype]), { threads: 1 });
      try {
        expect({ dtype, ids: generated[dtype] }).toEqual({ dtype, ids: (await generate(decoder, PROMPT, COUNT)).ids });
      } finally {
        await decoder.session.close();
      }
    }
  });

  it('runs in the WASM build with WebGPU as here, a set with nested tables too, without GatherBlockQuantized', async () => {
    const inside = join(folder, 'onnx');
    const parts = readdirSync(inside).filter((name) => name.startsWith(`${graphs.q4}_data`));
    const models = [{ inside, graph: graphs.q4, parts }, ...(await nestedModels())];
    const found = inWasm(models);
    for (const [at, model] of models.entries()) {
      const path = join(model.inside, model.graph);
      expect([...nodesOf(importModel(path).graph)].filter(({ op }) => op === 'GatherBlockQuantized')).toEqual([]);
      const decoder = await openDecoder(ortRuntime, path, { threads: 1 });
      const { logits } = await decoder.session.run(promptFeeds(decoder, IDS), ['logits']);
      await decoder.session.close();
      const wanted = (logits as HostTensor).data as Float32Array;
      expect(found[at]?.dims).toEqual([1, 3, 2048]);
      // int8 activations are rounded alike; a table in the wrong place is off by 5.
      for (const [i, value] of wanted.entries()) expect(Math.abs(value - (found[at]?.logits[i] ?? 0))).toBeLessThan(1);
    }
  });
});

/** A set whose embedding and head are nested, with rows of frequent ids apart. */
async function nestedModels(): Promise<readonly InFolder[]> {
  const inside = join(temporaryFolder(), 'nested');
  const tables = { embeddingBits: { 2: 3 }, frequentIds: { share: 0.25, bits: { 2: 4 } } } as const;
  const recipe = { method: 'rtn', bits: [8, 2], block: 32, ...tables } as const;
  await compile({
    model: fixture('models/mistral-656k/model.onnx'),
    output: inside,
    name: 'model',
    recipe,
    threads: 1,
  });
  const parts = readdirSync(inside).filter((name) => name.endsWith('.data'));
  return [{ inside, graph: 'model_int2.onnx', parts }];
}
