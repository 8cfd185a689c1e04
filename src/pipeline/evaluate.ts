/** Scores models against a reference on text. */
import { fixedShapeOf } from '../analysis/fixed-shape.js';
import { importModel } from '../convert/import.js';
import { storedBitsOfGraph } from '../convert/stored-bits-of-graph.js';
import type { Context } from '../log.js';
import { evaluate as evaluateModels } from '../report/evaluate.js';
import type { EvalResult } from '../report/evaluate-types.js';
import { ortRuntime } from '../runtime/ort.js';
import type { Runtime } from '../runtime/runtime.js';
import { referenceOf } from './reference.js';
import type { TextOptions } from './text-options.js';
import { readWindows } from './windows.js';

export type { CandidateResult, EvalResult, ModelResult } from '../report/evaluate-types.js';

export interface EvalOptions {
  readonly reference: string;
  readonly candidates: readonly string[];
  readonly text: TextOptions;
  /** Tokens in a window. */
  readonly window: number;
  /** Most windows to score; all of the text by default. */
  readonly windows?: number;
  readonly threads: number;
  /** Bytes that open models may take together; default 4 GiB. */
  readonly memoryBytes?: number;
  /** Measure tokens per second too; default true. */
  readonly speed?: boolean;
}

export async function evaluate(options: EvalOptions, context: Context): Promise<EvalResult> {
  const exactly = fixedShapeOf(importModel(options.reference)).length;
  const { text, window, windows: limit } = options;
  const windows = readWindows(text, { window, limit, exactly, log: context.log });
  const runnable = referenceOf(options.reference, { compute: 'float32' }, context);
  try {
    return await evaluateModels({
      runtime: standIn(options.reference, runnable?.path ?? options.reference),
      reference: options.reference,
      candidates: options.candidates,
      windows,
      threads: options.threads,
      ...(options.memoryBytes !== undefined && { memory: options.memoryBytes }),
      ...(options.speed !== undefined && { speed: options.speed }),
      storedBitsPerWeight: storedBitsOfGraph,
      progress: context.progress,
      signal: context.signal,
    });
  } finally {
    runnable?.close();
  }
}

/** Opens `other` in the place of `path`: a bfloat16 reference is scored by a copy that computes in float32. */
function standIn(path: string, other: string): Runtime {
  if (path === other) return ortRuntime;
  return { ...ortRuntime, open: (model, options) => ortRuntime.open(model === path ? other : model, options) };
}
