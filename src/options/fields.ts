/** Options that several functions share: what each takes, what it is by default, and a sentence that is its help too. */
import { availableParallelism } from 'node:os';
import { z } from 'zod';
import type { TextAsked, TextOptions } from '../text/index.js';

/** A field that may be left out and then stays absent. */
export type Optional<T extends z.ZodType> = z.ZodExactOptional<T>;

export const MOST_THREADS = 256;
/** Less does not hold the largest projection of any model, however small the rest is. */
export const LEAST_MEMORY: number = 64 * 2 ** 20;
const MEMORY = 4 * 2 ** 30;

const TAKES_PATH = 'takes a path';
/** A path of a file or folder; whether it is there is said by whoever opens it. */
export const path: z.ZodType<string> = z
  .string({ error: TAKES_PATH })
  .refine((text) => text !== '' && !text.includes('\0'), { error: TAKES_PATH });

const TAKES_STEM = 'takes a file name without folders, such as model';
/** Bytes of a file name, with room for the suffixes of a set. */
const LONGEST_STEM = 200;
const isStem = (name: string): boolean => !/[/\\\0]|^\.{0,2}$/.test(name) && Buffer.byteLength(name) <= LONGEST_STEM;
/** A file name that stays in its folder on every system. */
export const stem: z.ZodType<string> = z.string({ error: TAKES_STEM }).refine(isStem, { error: TAKES_STEM });

export const paths: z.ZodType<string[]> = z.array(path);

export const model: z.ZodType<string> = path.describe('ONNX file, folder, or hf:ORG/NAME[@REVISION] of a float export');
export const set: z.ZodType<string> = path.describe('The .json of a set');

export const flag = (sentence: string): z.ZodDefault<z.ZodBoolean> => z.boolean().default(false).describe(sentence);

export const whole = (least: number, most: number = Number.MAX_SAFE_INTEGER): z.ZodInt => z.int().min(least).max(most);

export const threads: z.ZodType<number> = whole(1, MOST_THREADS)
  .default(() => Math.min(availableParallelism(), MOST_THREADS))
  .describe('Number of threads (default: all processors); results do not depend on it');

export const memoryBytes: z.ZodType<number> = whole(LEAST_MEMORY)
  .default(MEMORY)
  .describe('Memory limit, such as 800MB or 4GiB');

export const seed: z.ZodType<number> = whole(0).default(0).describe('Random seed');

export const work: Optional<z.ZodType<string>> = path
  .describe('Work cache: folder of finished results that a later run reuses')
  .exactOptional();

export const window: z.ZodType<number> = whole(2).default(512).describe('Tokens per window');

export const windows: Optional<z.ZodType<number>> = whole(1)
  .describe('Maximum number of windows to score (default: all)')
  .exactOptional();

export const targetBytes: Optional<z.ZodType<number>> = whole(1)
  .describe('Maximum size of the smallest model; sets the bits of attention, embedding and head')
  .exactOptional();

export const statistics: Optional<z.ZodType<string[]>> = z
  .array(path)
  .min(1)
  .describe('Folders of captured statistics; several are added')
  .exactOptional();

export const shards: z.ZodType<number> = whole(1, 4096)
  .default(1)
  .describe('Parts of the calibration text whose statistics are captured apart and added up');

export const tokenizer: z.ZodType<string> = path.describe('tokenizer.json of the model');

export const bos: z.ZodType<'auto' | 'none' | number> = z
  .union([z.enum(['auto', 'none']), whole(0)], { error: 'takes auto, none or a token id' })
  .default('auto')
  .describe('First token of each window: auto, none or a token id');

/** Where text comes from, field by field: the command line has a flag for each. */
export const textFields: {
  readonly ids: Optional<z.ZodType<string>>;
  readonly files: Optional<z.ZodType<string[]>>;
  readonly tokenizer: Optional<z.ZodType<string>>;
  readonly jsonlField: z.ZodDefault<z.ZodString>;
  readonly bos: z.ZodType<'auto' | 'none' | number>;
} = {
  ids: path.describe('File with one JSON array of token ids per line, instead of text').exactOptional(),
  files: z
    .array(path)
    .min(1)
    .describe('Text file, .jsonl file with one document per line, or c4, wikitext, self')
    .exactOptional(),
  tokenizer: tokenizer.exactOptional(),
  jsonlField: z.string().min(1).default('text').describe('Field of a .jsonl line with the text'),
  bos,
};

export const text: z.ZodType<TextOptions> = z
  .strictObject(textFields)
  .refine(
    ({ ids, files, tokenizer: own }) => [files, own].every((each) => (each === undefined) === (ids !== undefined)),
    {
      error: 'takes either ids, or files and tokenizer',
    },
  )
  .transform(({ ids, ...rest }) => (ids === undefined ? rest : { ids }) as TextOptions)
  .describe('Text to measure on: token ids, or text files with the tokenizer of the model');

/** The same for verbs that take a model, which may have its tokenizer beside it. */
export const modelText: z.ZodType<TextAsked> = z
  .strictObject(textFields)
  .refine(({ ids, files }) => (ids === undefined) !== (files === undefined), { error: 'takes either ids or files' })
  .refine(({ ids, tokenizer: own }) => ids === undefined || own === undefined, {
    error: 'takes a tokenizer with files only',
  })
  .transform(({ ids, ...rest }) => (ids === undefined ? rest : { ids }) as TextAsked)
  .describe('Text to measure on: token ids, or text with the tokenizer of the model');

/** What verbs that take a model are told beside it. */
export const input: { readonly file: Optional<z.ZodType<string>>; readonly hub: Optional<z.ZodType> } = {
  file: path.describe('The graph, where a folder or repository has several').exactOptional(),
  hub: z
    .strictObject({
      endpoint: z.url(),
      cache: path,
      texts: path,
      token: z.string().min(1).exactOptional(),
      offline: z.boolean(),
    })
    .describe('The Hugging Face hub (default: as HF_HOME, HF_TOKEN and the like say)')
    .exactOptional(),
};

/** Folders that `compile` writes for others to load. */
export const FORMATS = ['transformers.js', 'genai', 'onnxruntime'] as const;
/** A kind of folder. */
export type Format = (typeof FORMATS)[number];

/** A recipe is checked by its own schema, which knows more than types. */
export const recipe: Optional<z.ZodType> = z
  .looseObject({})
  .describe('Recipe object; `preset` names the preset that it starts from')
  .exactOptional();

/** Text and reference that mixes are measured with. */
export interface MeterRequest {
  /** Text to measure on. */
  readonly text: TextOptions;
  /** Tokens in a window. */
  readonly window: number;
  /** Windows are taken from the start of the text until they have this many tokens. */
  readonly tokens: number;
  /** Tokens at the start of the text to skip. */
  readonly skip?: number;
  /** Model to compare with; the set at its highest precision by default. */
  readonly original?: string;
  /** Worker threads. */
  readonly threads: number;
  /** Bytes of memory to plan for. */
  readonly memoryBytes: number;
}

const meterFields = {
  text,
  window,
  skip: whole(0).describe('Tokens to skip at the start of the text').exactOptional(),
  original: path.describe('Model to compare with (default: the set at its highest precision)').exactOptional(),
  threads,
  memoryBytes,
};

/** Where mixes are measured. */
export const meter: z.ZodType<MeterRequest> = z.strictObject({
  ...meterFields,
  tokens: whole(2).default(2048).describe('Tokens to measure on'),
});

/** Where the points of a sweep are scored. */
export const scoreMeter: z.ZodType<MeterRequest> = z.strictObject({
  ...meterFields,
  tokens: whole(2).default(4096).describe('Tokens to score on'),
});
