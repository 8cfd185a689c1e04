/** Models that are only inspected, recipes, tokenizers and text. */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Random } from '../../src/random.js';
import { baseModels, writeIds, writeTiny } from './bases.js';
import type { Kind, Prepared } from './kinds.js';
import { mutateBytes, pick } from './mutate-bytes.js';
import { mutateJson, mutateValue } from './mutate-json.js';
import { mutateModel } from './mutate-model.js';
import { mutateText } from './mutate-text.js';
import { fixture, type Library } from './target.js';

const utf8 = (text: string): Uint8Array => new TextEncoder().encode(text);

/** Mutated models are read, verified and analysed. */
export const models: Kind = async ({ inspect, parseRecipe, silentContext }, scratch) => {
  const bases = baseModels(scratch);
  const recipe = parseRecipe({ method: 'data-free' }, 'fuzz');
  return {
    bases,
    mutate: (random) => {
      const base = pick(['tiny', 'tiny', 'mistral-656k', 'gemma3-tiny'], random);
      const bytes = bases[base]?.['model.onnx'] as Uint8Array;
      const { note, bytes: changed } = random.uniform() < 0.4 ? mutateBytes(bytes, random) : mutateModel(bytes, random);
      return { base, note, files: { 'model.onnx': changed } };
    },
    run: async (folder) => {
      await inspect({ model: join(folder, 'model.onnx'), recipe }, silentContext());
      return {};
    },
  };
};

const RECIPES: readonly object[] = [
  {
    bits: [8, 4, 2],
    block: 32,
    method: 'best',
    lambda: { 2: 1, 4: 2, 8: 3 },
    overrides: [{ match: '^layers', minBits: 4 }],
  },
  { prefix: { bits: [2], share: 1 }, distill: { steps: 3, rate: { 2: 0.1 }, codistill: [{ from: 8, to: 2 }] } },
  { method: 'matquant', bits: [8, 4, 2], slice: 'paper', decode: 'tied', tables: 'fp16', train: { learn: ['clip'] } },
  { method: 'qat', bits: [4], decode: 'tied', tables: 'fp16', qat: { steps: 2 } },
  { scope: 'ffn+attention', attentionBits: 4, embeddingBits: 8, floatStorage: 'float16', shareTiedHead: true },
];

/** Mutated recipes are parsed. */
export const recipes: Kind = async ({ parseRecipe }) => ({
  bases: { recipe: {} },
  mutate: (random) => {
    const { note, value } = mutateValue(structuredClone(pick(RECIPES, random)), random);
    return { base: 'recipe', note, files: { 'recipe.json': utf8(JSON.stringify(value)) } };
  },
  run: async (folder) => {
    parseRecipe(JSON.parse(readFileSync(join(folder, 'recipe.json'), 'utf8')), 'recipe.json');
    return {};
  },
});

/** Captures what a text gives for a small model: tokenizer, windows and one pass over the layers. */
function captured(library: Library, scratch: string): (files: object, output: string) => Promise<void> {
  const model = writeTiny(join(scratch, 'model'));
  const recipe = library.parseRecipe({ method: 'best', tokens: 128, window: 32 }, 'fuzz');
  return async (text, output) => {
    const machine = { threads: 1, memoryBytes: 2 ** 31, seed: 0 };
    const options = { model, output: join(output, 'statistics'), recipe, text: text as { ids: string }, ...machine };
    await library.captureStatistics(options, library.silentContext());
  };
}

const stories = (): Uint8Array => readFileSync(fixture('text/stories-excerpt.txt')).subarray(0, 3000);
const tokenizerFile = (): Uint8Array => readFileSync(fixture('models/mistral-656k/tokenizer.json'));
const common = { jsonlField: 'text', bos: 'auto' } as const;

/** Mutated tokenizers cut a sound text. */
export const tokenizers: Kind = async (library, scratch): Promise<Prepared> => {
  const capture = captured(library, scratch);
  const original = tokenizerFile();
  return {
    bases: { tokenizer: { 'text.txt': stories() } },
    mutate: (random) => {
      const { note, bytes } = mutateJson(original, random);
      return { base: 'tokenizer', note, files: { 'tokenizer.json': bytes } };
    },
    run: async (folder, output) => {
      const [file, tokenizer] = [join(folder, 'text.txt'), join(folder, 'tokenizer.json')];
      await capture({ files: [file], tokenizer, ...common }, output);
      return {};
    },
  };
};

/** Mutated texts, documents and ids are cut by a sound tokenizer. */
export const text: Kind = async (library, scratch): Promise<Prepared> => {
  const capture = captured(library, scratch);
  const documents = Array.from({ length: 8 }, (_, at) =>
    JSON.stringify({ text: `Tom had ${at} dogs and a red ball.` }),
  );
  const sources: Readonly<Record<string, Uint8Array>> = {
    'text.txt': stories(),
    'text.jsonl': utf8(`${documents.join('\n')}\n`),
    'ids.jsonl': readFileSync(writeIds(join(scratch, 'ids.jsonl'), 4, 32)),
  };
  const bases = { text: { 'tokenizer.json': tokenizerFile() } };
  return {
    bases,
    mutate: (random: Random) => {
      const name = pick(Object.keys(sources), random);
      const { note, bytes } = mutateText(sources[name] as Uint8Array, random);
      return { base: 'text', note: `${name} ${note}`, files: { [name]: bytes } };
    },
    run: async (folder, output) => {
      const { 'ids.jsonl': ids, ...files } = textsIn(folder);
      if (ids !== undefined) await capture({ ids }, output);
      else await capture({ files: Object.values(files), tokenizer: join(folder, 'tokenizer.json'), ...common }, output);
      return {};
    },
  };
};

/** Paths of the texts of a case by name. */
function textsIn(folder: string): Readonly<Record<string, string>> {
  const names = readdirSync(folder).filter((name) => /^(text|ids)\./.test(name));
  return Object.fromEntries(names.map((name) => [name, join(folder, name)]));
}
