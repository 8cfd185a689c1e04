/** The folder that transformers.js loads: `onnx/model_DTYPE.onnx`, and `transformers.js_config` in config.json. */
import { statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Context } from '../log.js';
import { slice } from '../set/index.js';
import type { TextOptions } from '../text/index.js';
import { splitData } from './chunks.js';
import { type Float16Package, writeFloat16 } from './float16.js';
import type { Json, PartFiles } from './package-source.js';
import { copyParts, partChunks, partDtypes } from './web-parts.js';

/** Names of transformers.js for what a precision is stored in; int6 and int3 have none. */
const DTYPES: Readonly<Record<number, { readonly dtype: string; readonly half: string }>> = {
  8: { dtype: 'q8', half: 'q8' },
  4: { dtype: 'q4', half: 'q4f16' },
  2: { dtype: 'q2', half: 'q2f16' },
};
const SUFFIXES: Readonly<Record<string, string>> = { q8: 'quantized' };

/** One model of the folder. */
export interface PackagedModel {
  readonly bits: number;
  /** What users ask for: a dtype of transformers.js, or the name of a precision. */
  readonly name: string;
  /** Path of the graph or the model's folder, relative to the package. */
  readonly path: string;
  /** Graph and data. */
  readonly bytes: number;
  /** Of a model in float16 beside its float32 form. */
  readonly float16?: Float16Package;
}

/** The dtype of a precision. */
export const dtypeOf = (bits: number, half: boolean): string | undefined => DTYPES[bits]?.[half ? 'half' : 'dtype'];

/** What a decoder is called: `model`, or, with an embedding beside it, `decoder_model_merged`. */
export const stemOf = (parts: readonly PartFiles[]): string => (parts.length > 0 ? 'decoder_model_merged' : 'model');

/** File name of the graph of a dtype, relative to the package. */
export const graphOf = (dtype: string, stem: string): string => `onnx/${stem}_${SUFFIXES[dtype] ?? dtype}.onnx`;

/** What the folder is made from. */
export interface WebSource {
  /** The .json of the set. */
  readonly set: string;
  readonly bits: readonly number[];
  /** The models compute in float16. */
  readonly half: boolean;
  /** Also write the models of float32 in float16; text that ranges are measured on, where there is any. */
  readonly float16: { readonly text?: TextOptions } | undefined;
  readonly config: Json;
  /** Graphs beside the decoder. */
  readonly parts: readonly PartFiles[];
  readonly chunkBytes: number;
}

/** Writes graphs, data and config.json into `folder`. */
export async function writeTransformersJs(
  folder: string,
  { set, bits, half, float16, config, parts, chunkBytes }: WebSource,
  context: Context,
): Promise<readonly PackagedModel[]> {
  const models: PackagedModel[] = [];
  const chunks: Record<string, number> = {};
  const size = config['vocab_size'];
  const vocabulary = typeof size === 'number' ? size : undefined;
  for (const each of bits) {
    const dtype = dtypeOf(each, half) as string;
    const path = graphOf(dtype, stemOf(parts));
    const output = join(folder, path);
    const { files } = await slice({ set, bits: each, output, standalone: true, slice: 'prefix' }, context);
    const bytes = files.reduce((sum, file) => sum + statSync(file.path).size, 0);
    const data = bytes - statSync(output).size;
    const count = splitData(output, data, chunkBytes);
    if (count > 0) chunks[path.slice('onnx/'.length)] = count;
    models.push({ bits: each, name: dtype, path, bytes });
    const halfType = half || float16 === undefined ? dtype : (dtypeOf(each, true) as string);
    if (halfType === dtype) continue;
    const made = {
      dtype: halfType,
      path: graphOf(halfType, stemOf(parts)),
      beside: path,
      text: float16?.text,
      vocabulary,
    };
    const own = await writeFloat16(folder, { set, bits: each, chunkBytes }, made, context);
    if (own.chunks > 0) chunks[own.model.path.slice('onnx/'.length)] = own.chunks;
    models.push(own.model);
  }
  copyParts(folder, parts);
  const written = configFor(config, models, { ...chunks, ...partChunks(parts) }, parts);
  writeFileSync(join(folder, 'config.json'), `${JSON.stringify(written, null, 2)}\n`);
  return models;
}

function configFor(
  config: Json,
  models: readonly PackagedModel[],
  chunks: Readonly<Record<string, number>>,
  parts: readonly PartFiles[],
): Json {
  const old = config['transformers.js_config'];
  const plain = models.filter(({ float16 }) => float16 === undefined);
  const preferred = plain.find(({ bits }) => bits === 4) ?? plain[0];
  return {
    ...config,
    'transformers.js_config': {
      ...(typeof old === 'object' ? old : {}),
      dtype: parts.length === 0 ? preferred?.name : { ...partDtypes(parts), [stemOf(parts)]: preferred?.name },
      kv_cache_dtype: { q4f16: 'float16', q2f16: 'float16', fp16: 'float16' },
      use_external_data_format: chunks,
    },
  };
}
