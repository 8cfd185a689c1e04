/** What `verify` may write: no file that it reads, and none of others. */
import { dirname } from 'node:path';
import { guardOutputs } from '../outputs/index.js';
import { textFiles } from '../text/index.js';
import { plotBeside } from './budget/index.js';
import type { VerifyOptions } from './verify-types.js';

/** Fails with `output-exists`. */
export function guardVerify(options: VerifyOptions): void {
  const { original, candidate, text, digests = [], budget, tasks = [], tokenizer, overwrite } = options;
  const files = outputsOf(options);
  if (files.length === 0) return;
  const models = [original, candidate, ...digests].filter((path) => path !== undefined);
  const folders = models
    .filter((path) => !/\.onnx$/i.test(path))
    .map((path) => (path.endsWith('.json') ? dirname(path) : path));
  guardOutputs({
    models: models.filter((path) => /\.onnx$/i.test(path)),
    inputs: [...textFiles(text), ...models, budget, ...tasks, tokenizer],
    inputFolders: folders,
    files,
    overwrite,
  });
}

function outputsOf({ junit, sarif, summary }: VerifyOptions): Parameters<typeof guardOutputs>[0]['files'] {
  return [
    ...(junit === undefined ? [] : [{ path: junit, kind: 'junit' } as const]),
    ...(sarif === undefined ? [] : [{ path: sarif, kind: 'sarif' } as const]),
    ...(summary === undefined
      ? []
      : [{ path: summary, kind: 'summary' } as const, { path: plotBeside(summary), kind: 'plot' } as const]),
  ];
}
