/** What `verify` may write: no file that it reads, and none of others. */
import { dirname } from 'node:path';
import { guardOutputs } from '../outputs/index.js';
import { textFiles } from '../text/index.js';
import { modelsOf, plotBeside } from './budget/index.js';
import type { VerifyOptions } from './verify-types.js';

/** Fails with `output-exists`. */
export function guardVerify(options: VerifyOptions): void {
  const { original, candidate, text, digests = [], sameAs, budget, tasks = [], tokenizer, overwrite } = options;
  const files = outputsOf(options);
  if (files.length === 0) return;
  const sets = [...digests.filter((path) => !/\.onnx$/i.test(path)), ...(sameAs ? [sameAs.set] : [])];
  // A folder that is measured is read model by model, and may hold results of earlier checks.
  const measured = candidate === undefined ? [] : modelsOf(candidate).map(({ path }) => path);
  guardOutputs({
    models: [
      ...(original === undefined ? [] : [original]),
      ...digests.filter((path) => !sets.includes(path)),
      ...measured,
    ],
    inputs: [...textFiles(text), original, candidate, ...digests, budget, ...tasks, tokenizer],
    inputFolders: sets.map((path) => (path.endsWith('.json') ? dirname(path) : path)),
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
