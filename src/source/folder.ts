/**
 * Which files of a folder belong to a model: the float graph, in the layouts of transformers.js (`onnx/model.onnx`), optimum
 * (`model.onnx`, `decoder_model_merged.onnx`) and GenAI (a folder per variant), and what lies around it. Works on lists of paths
 * relative to the root, so that a folder and a repository that is not downloaded yet are understood alike.
 */
import { readdirSync, readFileSync, statSync } from 'node:fs';
import { basename, dirname, join, posix } from 'node:path';
import { fail } from '../diagnostics.js';
import { byForm, isHalfName, isQuantizedName } from '../files/graph-names.js';
import { readCard } from './model-card.js';
import type { ModelFolder } from './model-folder.js';

/** Folders below the root that are looked into. */
const DEPTH = 4;

/** Graphs beside a decoder that are no decoder of text. */
const PARTS =
  /(^|\/)(encoder|vision|audio|speech|embed|embedding|lm_head|text_encoder|decoder_with_past|tokenizer|detokenizer)[^/]*\.onnx$/i;

/** Those that a decoder of vectors needs beside it, with a name that says what they are: `vision_encoder`, `embed_tokens_fp16`. */
const BESIDE = /^(encoder|vision|audio|speech|embed|embedding)[^/]*\.onnx$/i;

/** Files that are read or carried along where they are there. */
const CONFIGS = [
  'config.json',
  'generation_config.json',
  'genai_config.json',
  'tokenizer_config.json',
  'special_tokens_map.json',
  'added_tokens.json',
  'tokenizer.model',
  'preprocessor_config.json',
  'processor_config.json',
];
const TEMPLATES = ['chat_template.jinja', 'chat_template.json'];
const NOTICES = /^(licen[cs]e|notice|use_policy|terms|copying)[^/]*$/i;

/** Paths of a folder's files, relative with forward slashes, sorted; hidden folders are left out. */
export function listFolder(root: string, below: string = '', depth: number = DEPTH): readonly string[] {
  return readdirSync(join(root, below))
    .toSorted()
    .filter((name) => !name.startsWith('.') && name !== 'node_modules')
    .flatMap((name) => {
      const path = posix.join(below, name);
      const state = statSync(join(root, path), { throwIfNoEntry: false });
      if (state?.isDirectory()) return depth > 1 ? listFolder(root, path, depth - 1) : [];
      return state?.isFile() ? [path] : [];
    });
}

/**
 * The float graph among paths. `file` names it where there are several. Fails with `no-graph`, or with `several-graphs`, whose
 * message lists them.
 */
export function chooseGraph(paths: readonly string[], file: string | undefined, at: string): string {
  const graphs = paths.filter((path) => /\.onnx$/i.test(path));
  if (file !== undefined) return namedGraph(graphs, file, at);
  if (graphs.length === 0) fail('no-graph', at, 'There is no .onnx file in it');
  const whole = graphs.filter((path) => !PARTS.test(path));
  const float = whole.filter((path) => !isQuantizedName(path));
  if (float.length === 0 && whole.length > 0)
    fail(
      'no-graph',
      at,
      `All graphs in it are quantized by their names: ${listed(whole)}; name one with \`file\` and set \`dequantizeSource\` to take it as a float model`,
    );
  const candidates = [
    (path: string) => !isHalfName(path),
    (path: string) => /(^|\/)(model|decoder_model_merged)\.onnx$/i.test(path),
    (path: string) => /(^|\/)model\.onnx$/i.test(path),
    (path: string) => /^(onnx\/)?[^/]+$/i.test(path),
  ].reduce<readonly string[]>((left, isBetter) => {
    const better = left.filter(isBetter);
    return left.length > 1 && better.length > 0 ? better : left;
  }, float);
  const [first] = candidates;
  if (candidates.length === 1 && first !== undefined) return first;
  return fail(
    'several-graphs',
    at,
    `Several graphs may be meant: ${listed(candidates.length > 0 ? candidates : graphs)}`,
  );
}

function namedGraph(graphs: readonly string[], file: string, at: string): string {
  const wanted = file.replaceAll('\\', '/').replace(/^\.\//, '');
  const found = graphs.includes(wanted) ? [wanted] : graphs.filter((path) => posix.basename(path) === wanted);
  if (found.length === 1) return found[0] as string;
  if (found.length > 1) fail('several-graphs', at, `Several graphs have the name ${file}: ${listed(found)}`);
  return fail('no-graph', at, `There is no graph ${file}${graphs.length === 0 ? '' : `; there are ${listed(graphs)}`}`);
}

const MOST_LISTED = 8;
const listed = (paths: readonly string[]): string =>
  paths.slice(0, MOST_LISTED).join(', ') +
  (paths.length > MOST_LISTED ? ` and ${paths.length - MOST_LISTED} more` : '');

/** Paths of the files around a graph, nearest to it first: its own folder, then each above it up to the root. */
export function companionsOf(paths: readonly string[], graph: string): readonly string[] {
  return foldersAbove(graph).flatMap((folder) =>
    paths.filter((path) => posix.dirname(path) === folder && isCompanion(posix.basename(path))),
  );
}

/**
 * Graphs that run beside a decoder, in its folder: encoders of images and sound, and the embedding. Of the forms of one, the float one,
 * else that in float16, else the first; none beside a graph that is no decoder of vectors by its name.
 */
export function partsOf(paths: readonly string[], graph: string): readonly string[] {
  const folder = posix.dirname(graph);
  const here = paths.filter((path) => posix.dirname(path) === folder && BESIDE.test(posix.basename(path)));
  const hasEmbedding = here.some((path) => /^embed/i.test(posix.basename(path)));
  const forms = (hasEmbedding ? here : []).toSorted(byForm);
  return forms.filter((path, at) => forms.findIndex((each) => partOf(each) === partOf(path)) === at);
}

/** `vision_encoder` for `onnx/vision_encoder_q4f16.onnx`. */
export const partOf = (path: string): string =>
  posix.basename(path).replace(/(_(b?fp16|fp32|q\d\w*|k?quantized|u?int8|bnb4))?\.onnx$/i, '');

const isCompanion = (name: string): boolean =>
  name === 'tokenizer.json' ||
  name === 'README.md' ||
  CONFIGS.includes(name) ||
  TEMPLATES.includes(name) ||
  NOTICES.test(name);

function foldersAbove(path: string): readonly string[] {
  const folder = posix.dirname(path);
  return folder === '.' ? ['.'] : [folder, ...foldersAbove(folder)];
}

/** The model of a folder that is on this machine. `paths` are its files, `graph` one of them. */
export function modelFolder(
  root: string,
  graph: string,
  paths: readonly string[],
  more: Pick<ModelFolder, 'name' | 'origin'>,
): ModelFolder {
  const companions = companionsOf(paths, graph);
  const parts = partsOf(paths, graph);
  const nearest = (name: string): string | undefined => {
    const found = companions.find((path) => posix.basename(path) === name);
    return found === undefined ? undefined : join(root, found);
  };
  const known = (names: readonly string[]): readonly (readonly [string, string])[] =>
    names.flatMap((name) => {
      const path = nearest(name);
      return path === undefined ? [] : [[name, path] as const];
    });
  const tokenizer = nearest('tokenizer.json');
  const card = nearest('README.md');
  const configs = Object.fromEntries(known(CONFIGS));
  const chatTemplate = known(TEMPLATES)[0]?.[1] ?? templateIn(configs['tokenizer_config.json']);
  return {
    ...more,
    folder: root,
    graph: join(root, graph),
    configs,
    ...(parts.length > 0 && { parts: parts.map((path) => join(root, path)) }),
    notices: companions.filter((path) => NOTICES.test(posix.basename(path))).map((path) => join(root, path)),
    ...(tokenizer !== undefined && { tokenizer }),
    ...(chatTemplate !== undefined && { chatTemplate }),
    ...(card !== undefined && { card }),
    ...readCard(card),
  };
}

/** A tokenizer configuration, where it holds a chat template. */
function templateIn(path: string | undefined): string | undefined {
  return path !== undefined && /"chat_template"\s*:/.test(readFileSync(path, 'utf8')) ? path : undefined;
}

/** The folder that belongs to a graph given by its path: its own, or the one above where that is named `onnx`. */
export function rootOfGraph(graph: string): string {
  const folder = dirname(graph);
  return basename(folder) === 'onnx' ? dirname(folder) : folder;
}

/** Files around a graph given by its path: folders below are not looked into. */
export function listAround(graph: string): readonly string[] {
  const root = rootOfGraph(graph);
  const below = root === dirname(graph) ? [] : listFolder(root, basename(dirname(graph)), 1);
  return [...listFolder(root, '', 1), ...below];
}
