/** What a model's folder holds beside the graph: configurations, tokenizer, licence, and what its card says. */
import { readFileSync, statSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fail } from '../diagnostics.js';
import { namesIn } from '../files/listed-files.js';

export type Json = Readonly<Record<string, unknown>>;

/** A model as it is published: the graph, and the files that a runtime wants beside it. */
export interface ModelFolder {
  /** Path of the .onnx file. */
  readonly graph: string;
  /** Paths of tokenizer and generation files, copied as they are. */
  readonly companions: readonly string[];
  /** config.json of transformers, or undefined. */
  readonly config: Json | undefined;
  /** genai_config.json of onnxruntime-genai, or undefined. */
  readonly genai: Json | undefined;
  /** Paths of licence texts and notices. */
  readonly legal: readonly string[];
  /** The licence's name as the hub spells it, such as apache-2.0. */
  readonly licence: string | undefined;
  /** Name of the model on the hub, such as google/gemma-3-270m. */
  readonly baseModel: string | undefined;
}

const COMPANIONS: readonly string[] = [
  'tokenizer.json',
  'tokenizer_config.json',
  'special_tokens_map.json',
  'added_tokens.json',
  'tokenizer.model',
  'vocab.json',
  'merges.txt',
  'chat_template.jinja',
  'chat_template.json',
  'generation_config.json',
];
const LEGAL = /^(licen[cs]e|notice|copying|use_policy|terms)([-_. ].*)?$/i;

/**
 * Looks around the graph: in its own folder, and one folder up where that one is called `onnx`. A tokenizer given by itself wins.
 */
export function modelFolderOf(graph: string, tokenizer?: string): ModelFolder {
  const own = dirname(graph);
  const places = /(^|[\\/])onnx$/.test(own) ? [own, dirname(own)] : [own];
  const find = (name: string): string | undefined => places.map((place) => join(place, name)).find(isFile);
  const given = tokenizer !== undefined && isFile(tokenizer) ? [tokenizer] : [];
  const found = COMPANIONS.filter((name) => given.length === 0 || name !== 'tokenizer.json').flatMap(
    (name) => find(name) ?? [],
  );
  const legal = places.flatMap((place) =>
    namesIn(place)
      .filter((name) => LEGAL.test(name))
      .map((name) => join(place, name)),
  );
  const card = headOfCard(find('README.md'));
  return {
    graph,
    companions: [...given, ...found],
    config: jsonOf(find('config.json')),
    genai: jsonOf(find('genai_config.json')),
    legal: legal.filter(isFile),
    licence: card['license'],
    baseModel: card['base_model'] ?? nameOf(jsonOf(find('config.json'))),
  };
}

/** Every file that is read, for the guard of outputs. */
export const filesOf = ({ companions, legal, graph }: ModelFolder): readonly string[] => [
  graph,
  ...companions,
  ...legal,
];

function nameOf(config: Json | undefined): string | undefined {
  const name = config?.['_name_or_path'];
  return typeof name === 'string' && /^[\w.-]+\/[\w.-]+$/.test(name) ? name : undefined;
}

/** The plain `key: value` lines of the YAML head of a model card, and the first item of a list. */
function headOfCard(path: string | undefined): Readonly<Record<string, string>> {
  const head = path === undefined ? undefined : /^---\r?\n([\s\S]*?)\r?\n---/.exec(readFileSync(path, 'utf8'))?.[1];
  const entries = [...(head ?? '').matchAll(/^([\w-]+):[ \t]*(?:\r?\n[ \t]*-[ \t]*)?([^\s#][^\r\n]*)$/gm)];
  return Object.fromEntries(entries.map(([, key, value]) => [key as string, unquoted(value as string)]));
}

const unquoted = (value: string): string => value.trim().replace(/^(['"])(.*)\1$/, '$2');

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

const isFile = (path: string): boolean => statSync(path, { throwIfNoEntry: false })?.isFile() ?? false;
