/** The input files of a verb, watched from before they are read until its result is complete. */
import { dirname, join } from 'node:path';
import { InputWatch } from '../files/input-watch.js';
import { filesOfModel } from '../onnx/convert/import.js';
import type { Model } from '../onnx/ir/graph.js';
import { embeddingBeside } from '../runtime/embedding-file.js';
import { hintFiles } from '../runtime/hints.js';
import { type TextOptions, textFiles } from '../text/index.js';

/** What is read of a model and a text before the model is known: the data files follow with `watchModel`. */
export function inputFiles(model: string, text: TextOptions | undefined): readonly string[] {
  const configured =
    text === undefined || 'ids' in text ? [] : [join(dirname(text.tokenizer), 'tokenizer_config.json')];
  return [
    model,
    ...[embeddingBeside(model)].filter((path) => path !== undefined),
    ...hintFiles(model),
    ...textFiles(text),
    ...configured,
  ];
}

/** Watches the data files of a model that was read just now. */
export function watchModel(inputs: InputWatch, model: Model): void {
  for (const path of filesOfModel(model)) inputs.add(path);
}

/**
 * Does what reads the files. It must call `check` when its result is complete and before anyone sees it. Where it fails, and a file
 * has changed, the error is that, not what came of it. Without digests a change of permissions or names counts as one of contents.
 */
export async function withInputs<T>(
  paths: readonly string[],
  work: (inputs: InputWatch) => Promise<T>,
  { digests = true }: { readonly digests?: boolean } = {},
): Promise<T> {
  const inputs = new InputWatch(digests);
  try {
    for (const path of paths) inputs.add(path);
    return await work(inputs);
  } catch (error) {
    throw inputs.problem() ?? error;
  } finally {
    inputs.close();
  }
}
