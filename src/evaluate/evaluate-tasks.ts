/** Scores models on multiple-choice tasks, one model open at a time. */
import { basename } from 'node:path';
import { fail } from '../diagnostics.js';
import { KernelPool } from '../kernels/pool.js';
import { type Context, type Progress, silentContext } from '../log.js';
import { requireSound } from '../onnx/convert/check-model.js';
import { importModel } from '../onnx/convert/import.js';
import { checkOptions, type Input } from '../options/index.js';
import { openDecoder } from '../runtime/decoder.js';
import { readHints } from '../runtime/hints.js';
import { ortRuntime } from '../runtime/ort.js';
import { inWordsOfSet } from '../set/index.js';
import { type AskedInputs, openInput, requireText } from '../source/index.js';
import { bosOf, loadTokenizer } from '../text/index.js';
import { referenceOf } from './reference.js';
import { readTask, type TaskItem } from './task-items.js';
import { evaluateTask, type TaskOptions, type TaskResult } from './tasks.js';

/** The options of `evaluateTasks` with all defaults filled in; `EvaluateTasksInput` is what a caller passes. */
export interface EvaluateTasksOptions {
  /** ONNX model to compare with. */
  readonly reference: string;
  /** ONNX models to score. */
  readonly candidates: readonly string[];
  /** Files of multiple-choice questions, one JSON object a line. */
  readonly tasks: readonly string[];
  /** Most questions of each file, from its start; all by default. */
  readonly limit?: number;
  /** The tokenizer.json of the models. */
  readonly tokenizer: string;
  /** First token of every text: the tokenizer's own, none, or an id. */
  readonly bos: 'auto' | 'none' | number;
  /** Worker threads. */
  readonly threads: number;
}

/** The score of one model on one task. */
export interface TaskScore extends TaskResult {
  /** File name of the task without its suffix. */
  readonly task: string;
  readonly path: string;
  /** Share of the items that the reference answers in the same way, by raw log-likelihood. */
  readonly agreement: number;
}

/** What `evaluateTasks` takes. */
export type EvaluateTasksInput = Input<EvaluateTasksOptions, 'candidates' | 'bos' | 'threads' | 'tokenizer'> &
  Pick<AskedInputs, 'file' | 'hub'>;

/** Scores every model on every task of multiple-choice questions; the reference comes first. */
export async function evaluateTasks(
  input: EvaluateTasksInput,
  context: Context = silentContext(),
): Promise<readonly TaskScore[]> {
  const options = checkOptions<Omit<EvaluateTasksOptions, 'tokenizer'> & AskedInputs & { tokenizer?: string }>(
    'tasks',
    input,
  );
  const { candidates, tasks, limit, threads } = options;
  const folder = await openInput(options.reference, options, context);
  const reference = folder.graph;
  const path = options.tokenizer ?? folder.tokenizer;
  if (path === undefined) return fail('tokenizer-missing', reference, 'There is no tokenizer.json beside the model');
  requireTaskNames(tasks);
  for (const model of [reference, ...candidates]) requireSound(model);
  requireText(importModel(reference), reference);
  const files = tasks.map((file) => ({ task: taskName(file), items: readTask(file).slice(0, limit) }));
  const tokenizer = loadTokenizer(path);
  const hints = readHints(reference);
  const bos = bosOf(options.bos, tokenizer, hints.bos);
  const runnable = referenceOf(reference, { compute: 'float32' }, context);
  const pool = new KernelPool(threads);
  try {
    const answered: (readonly TaskResult[])[] = [];
    const models = [reference, ...candidates];
    const progress = progressOver(
      context.progress,
      models.length * files.reduce((sum, { items }) => sum + items.length, 0),
    );
    for (const model of models) {
      const opened = model === reference ? (runnable?.path ?? model) : model;
      const decoder = await openDecoder(ortRuntime, opened, { threads }, hints);
      answered.push(await answersOf(files, { decoder, pool, tokenizer, bos, progress, signal: context.signal }));
    }
    const [first = []] = answered;
    return models.flatMap((model, index) =>
      files.map(({ task }, at): TaskScore => {
        const result = answered[index]?.[at] as TaskResult;
        return { task, path: model, ...result, agreement: agreementOf(result, first[at] as TaskResult) };
      }),
    );
  } catch (error) {
    throw inWordsOfSet(error, [reference, ...candidates]);
  } finally {
    await pool.close();
    runnable?.close();
  }
}

/** Answers every task with one model, and closes it. */
async function answersOf(
  files: readonly { readonly items: readonly TaskItem[] }[],
  options: Omit<TaskOptions, 'items'>,
): Promise<readonly TaskResult[]> {
  const results: TaskResult[] = [];
  try {
    for (const { items } of files) results.push(await evaluateTask({ ...options, items }));
    return results;
  } finally {
    await options.decoder.session.close();
  }
}

/** Progress over all items of all models, from that of one task after another. */
function progressOver({ update }: Progress, total: number): Progress {
  let before = 0;
  return {
    update: (one) => {
      update({ ...one, done: before + one.done, total });
      if (one.done === one.total) before += one.total;
    },
  };
}

/** `arc_easy` of `tasks/arc_easy.jsonl`. */
export const taskName = (file: string): string => basename(file).replace(/\.jsonl?(\.gz)?$/, '');

const agreementOf = ({ choices }: TaskResult, first: TaskResult): number =>
  choices.filter((choice, at) => choice === first.choices[at]).length / choices.length;

/** Fails where two files would go by the same name. */
function requireTaskNames(files: readonly string[]): void {
  const names = files.map(taskName);
  const twice = files.find((_, at) => names.indexOf(names[at] as string) < at);
  if (twice !== undefined) fail('bad-usage', twice, 'Two tasks have the same file name');
}
