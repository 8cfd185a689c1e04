/** What a package takes over from the folder of its model. */

import { readFileSync } from 'node:fs';
import { fail } from '../diagnostics.js';
import { isFile } from '../files/file-state.js';
import { dataPaths } from '../onnx/convert/data-locations.js';
import { type ModelFolder, partOf } from '../source/index.js';

export type Json = Readonly<Record<string, unknown>>;

/** A model with the files that a runtime needs beside it. */
export interface PackageSource {
  /** Path of the .onnx file. */
  readonly graph: string;
  /** Paths of tokenizer and generation files, copied as they are. */
  readonly companions: readonly string[];
  /** config.json of transformers, or undefined. */
  readonly config: Json | undefined;
  /** genai_config.json of onnxruntime-genai, or undefined. */
  readonly genai: Json | undefined;
  /** Paths of the graphs that run beside a decoder of vectors, with their data files: copied as they are. */
  readonly parts: readonly PartFiles[];
  /** Paths of licence texts and notices. */
  readonly legal: readonly string[];
  /** The licence's name as the hub spells it, such as apache-2.0. */
  readonly licence: string | undefined;
  /** Name of the model on the hub, such as google/gemma-3-270m. */
  readonly baseModel: string | undefined;
}

/** A graph beside the decoder. */
export interface PartFiles {
  /** `vision_encoder`, `embed_tokens` and so on. */
  readonly part: string;
  readonly graph: string;
  /** In the folder of the graph or below. */
  readonly data: readonly string[];
}

/** Configurations that are written anew, from those of the source. */
const REWRITTEN: ReadonlySet<string> = new Set(['config.json', 'genai_config.json']);

/** `folder` as a package needs it. A tokenizer given by itself takes the place of the folder's. Fails with `damaged-file`. */
export function packageSourceOf(folder: ModelFolder, tokenizer?: string): PackageSource {
  const { graph, configs, chatTemplate, notices, licence, baseModel, origin } = folder;
  const given = tokenizer !== undefined && isFile(tokenizer) ? tokenizer : folder.tokenizer;
  const copied = Object.entries(configs).flatMap(([name, path]) => (REWRITTEN.has(name) ? [] : [path]));
  const config = jsonOf(configs['config.json']);
  return {
    graph,
    parts: (folder.parts ?? []).map(partFiles),
    companions: [...new Set([given, ...copied, chatTemplate].filter((path) => path !== undefined))],
    config,
    genai: jsonOf(configs['genai_config.json']),
    legal: notices,
    licence,
    baseModel: baseModel ?? nameOf(config) ?? origin?.repo,
  };
}

/** Every file that is read, for the guard of outputs. */
export const filesOf = ({ companions, legal, graph, parts }: PackageSource): readonly string[] => [
  graph,
  ...parts.flatMap((each) => [each.graph, ...each.data]),
  ...companions,
  ...legal,
];

const partFiles = (graph: string): PartFiles => ({
  part: partOf(graph.replaceAll('\\', '/')),
  graph,
  data: dataPaths(graph),
});

function nameOf(config: Json | undefined): string | undefined {
  const name = config?.['_name_or_path'];
  return typeof name === 'string' && /^[\w.-]+\/[\w.-]+$/.test(name) ? name : undefined;
}

function jsonOf(path: string | undefined): Json | undefined {
  if (path === undefined) return undefined;
  try {
    const value: unknown = JSON.parse(readFileSync(path, 'utf8'));
    if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value as Json;
  } catch {
    // Said below.
  }
  return fail('damaged-file', path, 'The configuration is not a JSON object');
}
