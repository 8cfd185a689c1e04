/** What `--for` writes, loaded by those it is for: unmodified transformers.js, and the WASM build that it uses in browsers. */
import { execFileSync } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { beforeAll, describe, expect, it } from '@jest/globals';
import { importModel } from '../../src/onnx/convert/import.js';
import { nodesOf } from '../../src/onnx/ir/graph.js';
import { compileFor } from '../../src/package/index.js';
import { openDecoder } from '../../src/runtime/decoder.js';
import { generate } from '../../src/runtime/generate.js';
import { ortRuntime } from '../../src/runtime/ort.js';
import { fixture, root, temporaryFolder } from '../support/paths.js';

const PROMPT = [1, 80, 147, 682, 80, 189, 111];
const COUNT = 12;
/** Small enough that the data of every model is cut. */
const CHUNK = 400_000;
const DTYPES = ['q8', 'q4', 'q2'] as const;
const graphs = { q8: 'model_quantized.onnx', q4: 'model_q4.onnx', q2: 'model_q2.onnx' };

let folder: string;
beforeAll(async () => {
  folder = join(temporaryFolder(), 'model');
  await compileFor({
    model: fixture('models/mistral-656k/model.onnx'),
    output: folder,
    recipe: { method: 'data-free', bits: [8, 4, 2], embeddingBits: 4, block: 32 },
    for: ['transformers.js'],
    chunkBytes: CHUNK,
    threads: 1,
  });
});

/** Runs a module in a process of its own, as users do, and gives the JSON that it prints last. */
function child(code: string): unknown {
  const output = execFileSync(process.execPath, ['--input-type=module', '-e', code], { cwd: root, encoding: 'utf8' });
  return JSON.parse(output.trim().split('\n').at(-1) as string);
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

  it('runs in the WASM build with WebGPU, which has no kernel for GatherBlockQuantized', () => {
    const [graph, names] = [join(folder, 'onnx', graphs.q4), readdirSync(join(folder, 'onnx'))];
    expect([...nodesOf(importModel(graph).graph)].filter(({ op }) => op === 'GatherBlockQuantized')).toEqual([]);
    const parts = names.filter((name) => name.startsWith(`${graphs.q4}_data`));
    const dims = child(`
      import { readFileSync } from 'node:fs';
      import * as ort from './node_modules/onnxruntime-web/dist/ort.webgpu.min.mjs';
      const dist = process.cwd() + '/node_modules/onnxruntime-web/dist/ort-wasm-simd-threaded.asyncify';
      ort.env.wasm.numThreads = 1;
      ort.env.wasm.wasmBinary = readFileSync(dist + '.wasm');
      ort.env.wasm.wasmPaths = { mjs: 'file://' + dist + '.mjs' };
      const folder = ${JSON.stringify(join(folder, 'onnx'))} + '/';
      const externalData = ${JSON.stringify(parts)}.map((path) => ({ path, data: new Uint8Array(readFileSync(folder + path)) }));
      const bytes = new Uint8Array(readFileSync(folder + ${JSON.stringify(graphs.q4)}));
      const session = await ort.InferenceSession.create(bytes, { executionProviders: ['wasm'], externalData });
      const feeds = {};
      for (const name of session.inputNames) {
        feeds[name] = name.startsWith('past')
          ? new ort.Tensor('float32', new Float32Array(0), [1, 4, 0, 16])
          : new ort.Tensor('int64', BigInt64Array.from([1n, 1n, 1n]), [1, 3]);
      }
      const { logits } = await session.run(feeds);
      console.log(JSON.stringify([...logits.dims, logits.data.every(Number.isFinite)]));`);
    expect(dims).toEqual([1, 3, 2048, true]);
  });
});
