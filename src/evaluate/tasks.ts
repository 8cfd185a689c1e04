/**
 * Multiple-choice tasks: the answer whose ending is likeliest after its context wins. Raw accuracy compares log-likelihoods;
 * normalized accuracy divides them by the characters of the ending (as lm-evaluation-harness does for acc_norm).
 */

import type { KernelPool } from '../kernels/pool.js';
import type { Progress } from '../log.js';
import type { Decoder } from '../runtime/decoder.js';
import type { TextTokenizer } from '../text/index.js';
import { logitsFor } from './logits.js';
import { scoreEnding } from './score.js';
import { shareError } from './statistics.js';
import type { TaskItem } from './task-items.js';

export interface TaskOptions {
  readonly decoder: Decoder;
  readonly pool: KernelPool;
  readonly tokenizer: TextTokenizer;
  /** The id in front of every text, or undefined for none. */
  readonly bos: number | undefined;
  readonly items: readonly TaskItem[];
  readonly progress?: Progress;
  readonly signal?: AbortSignal;
}

/** Accuracies as shares from 0 to 1, with their standard errors. */
export interface TaskResult {
  readonly items: number;
  readonly accuracy: number;
  readonly accuracyStandardError: number;
  readonly normalizedAccuracy: number;
  readonly normalizedAccuracyStandardError: number;
  /** The answer chosen for each item by raw log-likelihood: shows where two models decide differently. */
  readonly choices: readonly number[];
}

/** Answers every item. */
export async function evaluateTask(options: TaskOptions): Promise<TaskResult> {
  const { items, progress, signal } = options;
  const choices: number[] = [];
  let [right, rightNormalized] = [0, 0];
  for (const [index, item] of items.entries()) {
    signal?.throwIfAborted();
    const likelihoods = await likelihoodsOf(item, options);
    const choice = largestAt(likelihoods);
    const normalized = largestAt(likelihoods.map((value, at) => value / charactersOf(item.answers[at]?.ending ?? '')));
    choices.push(choice);
    if (choice === item.gold) right++;
    if (normalized === item.gold) rightNormalized++;
    progress?.update({ stage: 'answer', done: index + 1, total: items.length });
  }
  const [accuracy, normalizedAccuracy] = [right / items.length, rightNormalized / items.length];
  return {
    items: items.length,
    accuracy,
    accuracyStandardError: shareError(accuracy, items.length),
    normalizedAccuracy,
    normalizedAccuracyStandardError: shareError(normalizedAccuracy, items.length),
    choices,
  };
}

/** Code points of an ending, without the blank in front of it. */
const charactersOf = (ending: string): number => Math.max(1, [...ending.trim()].length);

/** log p(ending | context) of each answer. */
export async function likelihoodsOf(
  item: TaskItem,
  { decoder, pool, tokenizer, bos }: Omit<TaskOptions, 'items'>,
): Promise<readonly number[]> {
  const likelihoods: number[] = [];
  for (const { context, ending } of item.answers) {
    const { ids, from } = idsOf(context, ending, tokenizer, bos);
    const logits = await logitsFor(decoder, ids);
    likelihoods.push(-(await scoreEnding(pool, logits, ids, from, decoder.session.at)));
  }
  return likelihoods;
}

/**
 * The ids of context and ending together, and where the ending begins. Text is tokenized as a whole, since joining two
 * tokenizations can give ids the model never sees; the ending begins where the context alone stops agreeing.
 */
export function idsOf(
  context: string,
  ending: string,
  tokenizer: TextTokenizer,
  bos: number | undefined,
): { readonly ids: Int32Array; readonly from: number } {
  const prefix = bos === undefined ? [] : [bos];
  const alone = tokenizer.encode(context);
  const whole = tokenizer.encode(context + ending);
  const differs = whole.findIndex((id, at) => id !== alone[at]);
  const shared = differs < 0 ? whole.length - 1 : differs;
  return { ids: Int32Array.from([...prefix, ...whole]), from: Math.max(1, prefix.length + shared) };
}

function largestAt(values: readonly number[]): number {
  return values.reduce((best, value, at) => (value > (values[best] as number) ? at : best), 0);
}
