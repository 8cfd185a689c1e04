/** Scores models against a reference on text. */
import { fixedShapeOf } from '../analysis/fixed-shape.js';
import { importModel } from '../convert/import.js';
import { storedBitsOfGraph } from '../convert/stored-bits-of-graph.js';
import type { Context } from '../log.js';
import { evaluate as evaluateModels } from '../report/evaluate.js';
import type { EvalResult } from '../report/evaluate-types.js';
import { ortRuntime } from '../runtime/ort.js';
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
  const windows = readWindows(options.text, { window: options.window, limit: options.windows, exactly });
  return evaluateModels({
    runtime: ortRuntime,
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
}
