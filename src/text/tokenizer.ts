/** Tokenizers from tokenizer.json. Checked against Python's `tokenizers` on C4, stories and WikiText: equal ids everywhere. */
import { readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { Tokenizer } from '@huggingface/tokenizers';
import { CompilerError, fail } from '../diagnostics.js';
import { readText } from './dataset.js';

export interface TextTokenizer {
  readonly path: string;
  /** Ids of a text alone, without special tokens around it. */
  encode(text: string): readonly number[];
  /** The text of ids. */
  decode(ids: readonly number[]): string;
  /** The token that this tokenizer's own files put in front of a text, when they do. */
  readonly bos: number | undefined;
}

/** How a text begins: what the tokenizer or model says, a given id, or nothing. */
export type Bos = 'auto' | 'none' | number;

/** Reads a tokenizer.json (or .json.gz). Fails with `bad-tokenizer`. */
export function loadTokenizer(path: string): TextTokenizer {
  if (/\.model$/i.test(path)) fail('bad-tokenizer', path, 'The file is a SentencePiece model, not a tokenizer.json');
  try {
    const tokenizer = new Tokenizer(JSON.parse(readText(path)) as object, {});
    const encode = (text: string): readonly number[] => tokenizer.encode(text, { add_special_tokens: false }).ids;
    encode('a b');
    return { path, encode, decode: (ids) => tokenizer.decode([...ids]), bos: findBos(tokenizer, path) };
  } catch (error) {
    if (error instanceof CompilerError) throw error;
    const reason = error instanceof Error ? error.message.split('\n', 1)[0] : String(error);
    return fail('bad-tokenizer', path, `The tokenizer cannot be read: ${reason}`);
  }
}

/** The id to begin texts with, or undefined for none. `hinted` is what the model's own configuration says. */
export function bosOf(bos: Bos, tokenizer: TextTokenizer, hinted?: number): number | undefined {
  if (bos === 'none') return undefined;
  return bos === 'auto' ? (tokenizer.bos ?? hinted) : bos;
}

const USUAL = ['<bos>', '<s>', '<|begin_of_text|>', '<|startoftext|>'];

/** The tokenizer's template, else the configuration beside it, else a token of a usual name. */
function findBos(tokenizer: Tokenizer, path: string): number | undefined {
  const plain = tokenizer.encode('a', { add_special_tokens: false }).ids;
  const full = tokenizer.encode('a').ids;
  if (full.length > plain.length && full[0] !== plain[0]) return full[0];
  const named = configuredBos(path);
  if (named === null) return undefined;
  return [named, ...USUAL]
    .map((token) => (token === undefined ? undefined : tokenizer.token_to_id(token)))
    .find((id) => id !== undefined);
}

/** `bos_token` of tokenizer_config.json; null when it says that texts begin with none. */
function configuredBos(path: string): string | null | undefined {
  try {
    const config = JSON.parse(readFileSync(join(dirname(path), 'tokenizer_config.json'), 'utf8')) as Record<
      string,
      unknown
    >;
    if (config['add_bos_token'] === false) return null;
    const token = config['bos_token'];
    const content = typeof token === 'object' && token !== null ? (token as Record<string, unknown>)['content'] : token;
    return typeof content === 'string' ? content : undefined;
  } catch {
    return undefined;
  }
}
