import { fail } from '../../diagnostics.js';
import type { EvalResult, EvaluateTasksInput, TaskScore } from '../../evaluate/index.js';
import { describeOption as help } from '../../options/index.js';
import { type Command, defineCommand } from '../command.js';
import { bosValue, fileFlag, machineFlags, machineOf, textFlags, textOf, windowFlags } from '../options.js';
import { byteSize, paragraphs, right, significant, table } from '../render.js';
import { given, wholeNumber } from '../values.js';

export const evalCommand: Command = defineCommand({
  usage: 'eval <reference> [candidates..]',
  summary: 'Score models on text: likelihood, KL to the reference, agreement, size and speed',
  positionals: {
    reference: { type: 'string', describe: help('evaluate', 'reference'), required: true },
    candidates: { type: 'array', describe: help('evaluate', 'candidates') },
  },
  options: {
    ...fileFlag,
    ...textFlags,
    ...windowFlags,
    task: {
      type: 'array',
      describe:
        'Multiple-choice questions: .jsonl of query, choices, gold or context_options, continuation, gold; repeatable',
      group: 'Tasks:',
    },
    limit: { type: 'string', describe: help('tasks', 'limit'), group: 'Tasks:' },
    ...machineFlags,
  },
  examples: [
    ['eval model.onnx out/model_int4.onnx out/model_int2.onnx --text held.txt --tokenizer tokenizer.json', 'on text'],
    ['eval model.onnx out/model_int2.onnx --ids windows.jsonl --json', 'on token ids, for machines'],
    ['eval model.onnx out/model_int2.onnx --task arc_easy.jsonl --tokenizer tokenizer.json', 'questions to answer'],
  ],
  async run(values, context) {
    const { reference, task: files } = values;
    const candidates = values.candidates ?? [];
    const text = textOf(
      files === undefined || values.text !== undefined ? values : { ...values, tokenizer: undefined },
    );
    if (text === undefined && files === undefined)
      return fail('bad-usage', '--text', 'Give --text with --tokenizer, or --ids, or --task with --tokenizer');
    const asked = files && tasksOf({ ...values, task: files });
    const window = wholeNumber('--window', values.window, 2);
    const windows = given('windows', values.windows, (value) => wholeNumber('--windows', value));
    const machine = { ...machineOf(values), ...given('file', values.file, String) };
    const { evaluate } = await import('../../evaluate/index.js');
    const { evaluateTasks } = await import('../../evaluate/index.js');
    const scored = text && (await evaluate({ reference, candidates, text, window, ...windows, ...machine }, context));
    const tasks = asked && (await evaluateTasks({ reference, candidates, ...asked, ...machine }, context));
    return {
      data: { ...scored, ...(tasks && { tasks }) },
      text: paragraphs(scored ? render(scored) : '', tasks ? renderTasks(tasks) : ''),
    };
  },
});

interface TaskFlags {
  readonly task: readonly string[];
  readonly limit: string | undefined;
  readonly tokenizer: string | undefined;
  readonly bos: string;
}

function tasksOf({
  task: tasks,
  limit,
  tokenizer,
  bos,
}: TaskFlags): Pick<EvaluateTasksInput, 'tasks' | 'limit' | 'tokenizer' | 'bos'> {
  return {
    tasks,
    ...given('tokenizer', tokenizer, String),
    bos: bosValue(bos),
    ...given('limit', limit, (value) => wholeNumber('--limit', value)),
  };
}

function renderTasks(scores: readonly TaskScore[]): string {
  const titles = ['questions', 'accuracy', 'normalized', 'as the reference'];
  const percent = (share: number, error?: number): string =>
    `${(100 * share).toFixed(1)}${error === undefined ? '' : ` ± ${(100 * error).toFixed(1)}`} %`;
  const rows = scores.map((score) => [
    score.task,
    score.path,
    String(score.items),
    percent(score.accuracy, score.accuracyStandardError),
    percent(score.normalizedAccuracy, score.normalizedAccuracyStandardError),
    percent(score.agreement),
  ]);
  return table([{ title: 'task' }, { title: 'model' }, ...titles.map(right)], rows);
}

function render({ reference, candidates }: EvalResult): string {
  const titles = ['nll', 'perplexity', 'KL', 'ΔNLL', 'top-1', 'size', 'bits/weight', 'tokens/s'];
  const columns = [{ title: 'model' }, ...titles.map(right)];
  const nll = withError(significant(reference.nll, 5), reference.nllStandardError);
  const first = [reference.path, nll, significant(Math.exp(reference.nll), 4)];
  const rows = candidates.map((score) => [
    score.path,
    withError(significant(score.nll, 5), score.nllStandardError),
    significant(Math.exp(score.nll), 4),
    withError(significant(score.kl), score.klStandardError),
    withError(significant(score.deltaNll), score.deltaNllStandardError),
    `${withError((100 * score.top1).toFixed(1), 100 * score.top1StandardError)} %`,
    byteSize(score.fileBytes),
    significant(score.storedBitsPerWeight),
    significant(score.tokensPerSecond),
  ]);
  const windows = reference.windows.length;
  const note = `${reference.positions} positions in ${windows} windows scored; ± is the standard error over windows.`;
  return `${table(columns, [first, ...rows])}\n\n${note}`;
}

/** A figure with its standard error in two digits. */
const withError = (figure: string, error: number): string => `${figure} ± ${significant(error, 2)}`;
