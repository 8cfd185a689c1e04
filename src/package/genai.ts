/** Folders that onnxruntime-genai loads: one per precision, each with model, tokenizer and genai_config.json. */
import { copyFileSync, mkdirSync, statSync, writeFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { fail } from '../diagnostics.js';
import type { Context } from '../log.js';
import { importModel } from '../onnx/convert/import.js';
import { type Model, nodesOf } from '../onnx/ir/graph.js';
import { slice } from '../set/index.js';
import type { Json, PackageSource } from './package-source.js';
import type { PackagedModel } from './transformers-js.js';

/** Writes `genai/intN` for each precision into `folder`. Fails with `unsupported-target` for a model without caches. */
export async function writeGenai(
  folder: string,
  set: string,
  bits: readonly number[],
  source: PackageSource,
  context: Context,
): Promise<readonly PackagedModel[]> {
  const models: PackagedModel[] = [];
  for (const each of bits) {
    const path = `genai/int${each}`;
    const place = join(folder, path);
    mkdirSync(place, { recursive: true });
    const output = join(place, 'model.onnx');
    const { files } = await slice({ set, bits: each, output, standalone: true, slice: 'prefix' }, context);
    const config = genaiConfig(importModel(output), source);
    writeFileSync(join(place, 'genai_config.json'), `${JSON.stringify(config, null, 2)}\n`);
    for (const file of source.companions) copyFileSync(file, join(place, basename(file)));
    models.push({
      bits: each,
      name: `int${each}`,
      path,
      bytes: files.reduce((sum, file) => sum + statSync(file.path).size, 0),
    });
  }
  return models;
}

/** The source's own genai_config.json for the new file, or one made from config.json and the graph. */
function genaiConfig(model: Model, { genai, config, graph }: PackageSource): Json {
  if (genai !== undefined) return patched(genai);
  if (config === undefined)
    return fail('file-missing', graph, 'There is no genai_config.json or config.json beside the model');
  return written(model, config, graph);
}

/** The providers of the source may not have kernels for quantized products, so the model runs on a processor. */
function patched(genai: Json): Json {
  const model = objectAt(genai, 'model');
  const decoder = objectAt(model, 'decoder');
  const session = { ...objectAt(decoder, 'session_options'), provider_options: [] };
  return { ...genai, model: { ...model, decoder: { ...decoder, filename: 'model.onnx', session_options: session } } };
}

function written(model: Model, config: Json, graph: string): Json {
  const text = { ...config, ...objectAt(config, 'text_config') };
  const number = (key: string, fallback?: number): number => {
    const value = text[key];
    if (typeof value === 'number') return value;
    return (
      fallback ?? fail('unsupported-target', graph, `config.json does not say ${key}, which genai_config.json needs`)
    );
  };
  const heads = number('num_attention_heads');
  const context = number('max_position_embeddings', 2048);
  const eos = text['eos_token_id'] ?? number('eos_token_id');
  const ports = portsOf(model, graph);
  const first = Array.isArray(eos) ? (eos[0] as unknown) : eos;
  return {
    model: {
      ...(text['bos_token_id'] != null && { bos_token_id: text['bos_token_id'] }),
      context_length: context,
      decoder: {
        session_options: { log_id: 'onnxruntime-genai', provider_options: [] },
        filename: 'model.onnx',
        head_size: number('head_dim', number('hidden_size') / heads),
        hidden_size: number('hidden_size'),
        inputs: ports.inputs,
        outputs: ports.outputs,
        num_attention_heads: heads,
        num_hidden_layers: number('num_hidden_layers'),
        num_key_value_heads: number('num_key_value_heads', heads),
      },
      eos_token_id: eos,
      pad_token_id: text['pad_token_id'] ?? first,
      type: text['model_type'] ?? 'decoder',
      vocab_size: number('vocab_size'),
    },
    search: {
      do_sample: false,
      max_length: context,
      num_beams: 1,
      past_present_share_buffer: ports.sharesBuffer,
      repetition_penalty: 1,
      temperature: 1,
      top_k: 50,
      top_p: 1,
    },
  };
}

interface Ports {
  readonly inputs: Json;
  readonly outputs: Json;
  readonly sharesBuffer: boolean;
}

/** The names of inputs and outputs, with %d for the layer. */
function portsOf({ graph }: Model, at: string): Ports {
  const inputs = graph.inputs.map(({ name }) => name);
  const outputs = graph.outputs.map(({ name }) => name);
  const cache = (names: readonly string[], end: string): string =>
    names.find((name) => new RegExp(`\\.0\\..*${end}$`).test(name))?.replace('.0.', '.%d.') ??
    fail(
      'unsupported-target',
      at,
      'onnxruntime-genai decodes with a cache, and the model has no past keys and values: export it with them',
    );
  const plain = ['input_ids', 'attention_mask', 'position_ids'].filter((name) => inputs.includes(name));
  return {
    inputs: {
      ...Object.fromEntries(plain.map((name) => [name, name])),
      past_key_names: cache(inputs, 'key'),
      past_value_names: cache(inputs, 'value'),
    },
    outputs: {
      logits: 'logits',
      present_key_names: cache(outputs, 'key'),
      present_value_names: cache(outputs, 'value'),
    },
    sharesBuffer: [...nodesOf(graph)].some(({ op }) => op === 'GroupQueryAttention'),
  };
}

function objectAt(value: Json, key: string): Json {
  const found = value[key];
  return typeof found === 'object' && found !== null && !Array.isArray(found) ? (found as Json) : {};
}
