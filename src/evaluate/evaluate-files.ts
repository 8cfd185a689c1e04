/** Scores models against a reference on text. */
import { fixedShapeOf } from '../analysis/fixed-shape.js';
import type { InputWatch } from '../files/input-watch.js';
import { type Context, silentContext } from '../log.js';
import { requireSound } from '../onnx/convert/check-model.js';
import { importModel } from '../onnx/convert/import.js';
import { checkOptions, type Input } from '../options/index.js';
import { ortRuntime } from '../runtime/ort.js';
import type { Runtime } from '../runtime/runtime.js';
import { inWordsOfSet, storedBitsOfGraph } from '../set/index.js';
import {
  type AskedInputs,
  inputFiles,
  requireText,
  takesVectors,
  watchModel,
  withInputs,
  withResolved,
} from '../source/index.js';
import { readWindows, type TextInput, type TextOptions } from '../text/index.js';
import { evaluateModels } from './evaluate.js';
import type { Enough } from './evaluate-group.js';
import type { EvalResult } from './evaluate-types.js';
import { referenceOf } from './reference.js';

export type { CandidateResult, EvalResult, ModelResult } from './evaluate-types.js';

/** The options of `evaluate` with all defaults filled in; `EvalInput` is what a caller passes. */
export interface EvalOptions {
  /** ONNX model to compare with. */
  readonly reference: string;
  /** ONNX models to score. */
  readonly candidates: readonly string[];
  /** Text to score on. */
  readonly text: TextOptions;
  /** Tokens in a window. */
  readonly window: number;
  /** Most windows to score; all of the text by default. */
  readonly windows?: number;
  /** Worker threads. */
  readonly threads: number;
  /** Bytes that open models may take together; default 4 GiB. */
  readonly memoryBytes?: number;
  /** Measure tokens per second too; default true. */
  readonly speed?: boolean;
}

/** What `evaluate` takes. */
export type EvalInput = Input<Omit<EvalOptions, 'text'>, 'candidates' | 'window' | 'threads'> &
  Pick<AskedInputs, 'file' | 'hub'> & { readonly text: TextInput };

/**
 * Scores the reference and every candidate on the same windows of text. Fails with `bad-ids` if token ids do not fit a model,
 * and `runtime-failed` if ONNX Runtime cannot run it.
 */
export async function evaluate(input: EvalInput, context: Context = silentContext()): Promise<EvalResult> {
  const asked = checkOptions<EvalOptions & AskedInputs>('evaluate', input);
  const { reference: model, window, windows = SELF_WINDOWS } = asked;
  const need = { part: 'evaluation', window, tokens: window * windows } as const;
  return withResolved(model, asked, need, context, ({ folder, text }) =>
    evaluateUntil({ ...asked, reference: folder.graph, text: text as TextOptions }, context),
  );
}

/** Windows that the model writes itself when nobody says how many. */
export const SELF_WINDOWS = 16;

/** As `evaluate` with options that are checked, until `enough` says so for every candidate. */
export async function evaluateUntil(
  options: EvalOptions & { readonly enough?: Enough | undefined },
  context: Context,
): Promise<EvalResult> {
  const files = [options.reference, ...options.candidates].flatMap((path) => inputFiles(path, options.text));
  return withInputs(files, (inputs) => evaluateInputs(options, inputs, context), { digests: false });
}

async function evaluateInputs(
  options: EvalOptions & { readonly enough?: Enough | undefined },
  inputs: InputWatch,
  context: Context,
): Promise<EvalResult> {
  for (const model of [options.reference, ...options.candidates]) requireSound(model);
  for (const path of options.candidates) watchModel(inputs, importModel(path));
  const reference = importModel(options.reference);
  watchModel(inputs, reference);
  if (!('ids' in options.text)) requireText(reference, options.reference);
  if (takesVectors(reference, options.reference))
    context.log.warn(
      'The models have no embedding and are fed with random vectors: KL and top-1 compare them, but NLL and perplexity have no meaning.',
    );
  const exactly = fixedShapeOf(reference).length;
  const { text, window, windows: limit } = options;
  const windows = readWindows(text, { window, limit, exactly, log: context.log });
  const runnable = referenceOf(options.reference, { compute: 'float32' }, context);
  try {
    const result = await evaluateModels({
      runtime: standIn(options.reference, runnable?.path ?? options.reference),
      reference: options.reference,
      candidates: options.candidates,
      windows,
      threads: options.threads,
      ...(options.memoryBytes !== undefined && { memory: options.memoryBytes }),
      ...(options.speed !== undefined && { speed: options.speed }),
      storedBitsPerWeight: storedBitsOfGraph,
      enough: options.enough,
      progress: context.progress,
      signal: context.signal,
    });
    await inputs.check();
    return result;
  } catch (error) {
    throw inWordsOfSet(error, [options.reference, ...options.candidates]);
  } finally {
    runnable?.close();
  }
}

/** Opens `other` in the place of `path`: a bfloat16 reference is scored by a copy that computes in float32. */
function standIn(path: string, other: string): Runtime {
  if (path === other) return ortRuntime;
  return { ...ortRuntime, open: (model, options) => ortRuntime.open(model === path ? other : model, options) };
}
