/** Where the embedding model of a decoder lies. */
import { readdirSync } from 'node:fs';
import { dirname, join } from 'node:path';

const NAME = /^(embed_tokens|embeddings?)(_\w+)?\.onnx$/i;

/** Path of the embedding model in the folder of a decoder: the float one before those in float16 and quantized; or undefined. */
export function embeddingBeside(decoder: string): string | undefined {
  const folder = dirname(decoder);
  const names = namesIn(folder).filter((name) => NAME.test(name));
  const rank = (name: string): number => (/^[a-z]+(_tokens)?\.onnx$/i.test(name) ? 0 : /fp16/.test(name) ? 1 : 2);
  const [first] = names.toSorted((a, b) => rank(a) - rank(b) || (a < b ? -1 : 1));
  return first === undefined ? undefined : join(folder, first);
}

function namesIn(folder: string): readonly string[] {
  try {
    return readdirSync(folder);
  } catch {
    return [];
  }
}
