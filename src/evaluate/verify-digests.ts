/** Everything that a set or a model holds against its digests; needs no other model. */

import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { CompilerError, fail } from '../diagnostics.js';
import { isFile } from '../files/file-state.js';
import { isDamaged } from '../files/seal.js';
import { examineModel, type Finding } from '../onnx/convert/check-model.js';
import { examineSet, type OpenSet, openSetOf, stemOf } from '../set/index.js';

export type { Finding } from '../onnx/convert/check-model.js';

/** Files of results that carry a digest of their own. */
const RESULTS = ['report.json', 'sensitivity.json', 'sweep.json'];

/**
 * Digests the manifest, every graph and every section of a set (its .json, or its folder), or a model and its data file (.onnx).
 * Fails when the path is neither, or the model carries no digests.
 */
export function examine(path: string): readonly Finding[] {
  if (/\.onnx$/i.test(path))
    return examineModel(path) ?? fail('bad-usage', path, 'The model has no digests: this tool did not write it');
  try {
    const set = openSetOf(path);
    return [...examineSet(set), ...examineResults(set)];
  } catch (error) {
    if (!(error instanceof CompilerError && error.code === 'damaged')) throw error;
    return [{ at: error.at, part: 'manifest', problem: error.message.replace(/^The manifest /, '') }];
  }
}

function examineResults(set: OpenSet): readonly Finding[] {
  return RESULTS.map((suffix) => join(set.folder, `${stemOf(set)}.${suffix}`))
    .filter(isFile)
    .map((at) => {
      const problem = isDamaged(readFileSync(at, 'utf8')) ? 'does not have the digest it was written with' : undefined;
      return { at, part: 'file of results', ...(problem !== undefined && { problem }) };
    });
}
