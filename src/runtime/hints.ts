/**
 * Facts about a decoder that its graph may leave open, from the configuration files exporters write beside it:
 * genai_config.json (onnxruntime-genai), config.json and generation_config.json (transformers). transformers.js keeps the
 * graphs in a folder `onnx` below them, so the parent folder is looked into as well.
 */
import { readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { embeddingBeside } from './embedding-file.js';

export interface DecoderHints {
  /** Width of one attention head: the last dimension of the caches. */
  readonly headDim?: number;
  /** Window of the local attention layers, in tokens: the least length of their cache buffers in GenAI models. */
  readonly window?: number;
  /** The token that begins a text. */
  readonly bos?: number;
  /** Tokens that end a text. */
  readonly eos?: readonly number[];
  /** Path of the model that makes the vectors of tokens, for decoders that take vectors. */
  readonly embedding?: string;
}

/** What the configuration files around the model at `path` say; later files only fill what earlier ones left open. */
export function readHints(path: string): DecoderHints {
  const embedding = embeddingBeside(path);
  return mergeHints(
    ...hintFiles(path).map((file) => hintsOf(readJson(file))),
    embedding === undefined ? {} : { embedding },
  );
}

/** Where configuration files around the model at `path` may be. */
export function hintFiles(path: string): readonly string[] {
  const folder = dirname(path);
  const names = ['genai_config.json', 'config.json', 'generation_config.json'];
  return [folder, dirname(folder)].flatMap((place) => names.map((name) => join(place, name)));
}

/** One value per field: the first that is known. */
export function mergeHints(...hints: readonly DecoderHints[]): DecoderHints {
  return Object.assign({}, ...hints.toReversed());
}

type Json = Readonly<Record<string, unknown>>;

function hintsOf(file: Json): DecoderHints {
  const genai = objectAt(file, 'model');
  const decoder = objectAt(genai, 'decoder');
  const text = { ...file, ...objectAt(file, 'text_config') };
  return known({
    headDim:
      numberAt(decoder, 'head_size') ??
      numberAt(text, 'head_dim') ??
      quotient(text, 'hidden_size', 'num_attention_heads'),
    window: numberAt(objectAt(decoder, 'sliding_window'), 'window_size') ?? numberAt(text, 'sliding_window'),
    bos: numberAt(genai, 'bos_token_id') ?? numberAt(text, 'bos_token_id'),
    eos: idsAt(genai, 'eos_token_id') ?? idsAt(text, 'eos_token_id'),
  });
}

function known(fields: Record<string, number | readonly number[] | undefined>): DecoderHints {
  return Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined));
}

/** The object in a JSON file; a missing or unreadable file says nothing. */
function readJson(path: string): Json {
  try {
    return asObject(JSON.parse(readFileSync(path, 'utf8')));
  } catch {
    return {};
  }
}

const asObject = (value: unknown): Json => (typeof value === 'object' && value !== null ? (value as Json) : {});
const objectAt = (json: Json, key: string): Json => asObject(json[key]);

function numberAt(json: Json, key: string): number | undefined {
  const value = json[key];
  return typeof value === 'number' && Number.isInteger(value) && value >= 0 ? value : undefined;
}

/** One id or a list of them. */
function idsAt(json: Json, key: string): readonly number[] | undefined {
  const value = json[key];
  const ids = (Array.isArray(value) ? value : [value]).filter((id) => Number.isInteger(id) && id >= 0);
  return ids.length === 0 ? undefined : ids;
}

function quotient(json: Json, key: string, by: string): number | undefined {
  const [whole, parts] = [numberAt(json, key), numberAt(json, by)];
  return whole && parts && whole % parts === 0 ? whole / parts : undefined;
}
