/** Where the embedding model of a decoder lies. */
import { dirname, join } from 'node:path';
import { namesIn } from '../files/listed-files.js';
import { importModel } from '../onnx/convert/import.js';

const NAME = /^(embed_tokens|embeddings?)(_\w+)?\.onnx$/i;

/**
 * Path of the embedding model in the folder of a decoder: the float one before those in float16 and quantized. Undefined where there is
 * none, or where it takes more than token ids, as those that put images between tokens do.
 */
export function embeddingBeside(decoder: string): string | undefined {
  const folder = dirname(decoder);
  const names = namesIn(folder).filter((name) => NAME.test(name));
  const rank = (name: string): number => (/^[a-z]+(_tokens)?\.onnx$/i.test(name) ? 0 : /fp16/.test(name) ? 1 : 2);
  const paths = names.toSorted((a, b) => rank(a) - rank(b) || (a < b ? -1 : 1)).map((name) => join(folder, name));
  return paths.find(takesIdsAlone);
}

/** A model that cannot be read is said to be damaged by those who need it. */
function takesIdsAlone(path: string): boolean {
  try {
    const fed = importModel(path).graph.inputs.filter(({ initializer }) => initializer === undefined);
    return fed.length === 1 && /^int(32|64)$/.test(fed[0]?.type?.dtype ?? '');
  } catch {
    return false;
  }
}
