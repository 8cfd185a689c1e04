/** Where the embedding model of a decoder lies. */
import { dirname, join } from 'node:path';
import { byForm } from '../files/graph-names.js';
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
  return names
    .toSorted(byForm)
    .map((name) => join(folder, name))
    .find(takesIdsAlone);
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
