import { type EvalResult, evaluate } from '../../pipeline/evaluate.js';
import { type Command, defineCommand } from '../command.js';
import { machineFlags, machineOf, requiredText, textFlags } from '../options.js';
import { byteSize, right, significant, table } from '../render.js';
import { given, wholeNumber } from '../values.js';

export const evalCommand: Command = defineCommand({
  usage: 'eval <reference> [candidates..]',
  summary: 'Score models on text: likelihood, KL to the reference, agreement, size and speed',
  positionals: {
    reference: { type: 'string', describe: 'ONNX model to compare with', required: true },
    candidates: { type: 'array', describe: 'ONNX models to score' },
  },
  options: {
    ...textFlags,
    window: { type: 'string', default: '512', describe: 'Tokens in a window', group: 'Text:' },
    windows: { type: 'string', describe: 'Most windows to score (default: all)', group: 'Text:' },
    ...machineFlags,
  },
  examples: [
    ['eval model.onnx out/model_int4.onnx out/model_int2.onnx --text held.txt --tokenizer tokenizer.json', 'on text'],
    ['eval model.onnx out/model_int2.onnx --ids windows.jsonl --json', 'on token ids, for machines'],
  ],
  async run(values, context) {
    const result = await evaluate(
      {
        reference: values.reference,
        candidates: values.candidates ?? [],
        text: requiredText(values),
        window: wholeNumber('--window', values.window, 2),
        ...given('windows', values.windows, (text) => wholeNumber('--windows', text)),
        ...machineOf(values),
      },
      context,
    );
    return { data: result, text: render(result) };
  },
});

function render({ reference, candidates }: EvalResult): string {
  const titles = ['nll', 'perplexity', 'KL', 'top-1', 'size', 'bits/weight', 'tokens/s'];
  const columns = [{ title: 'model' }, ...titles.map(right)];
  const first = [reference.path, significant(reference.nll, 5), significant(Math.exp(reference.nll), 4)];
  const rows = candidates.map((score) => [
    score.path,
    significant(score.nll, 5),
    significant(Math.exp(score.nll), 4),
    significant(score.kl),
    `${(100 * score.top1).toFixed(1)} %`,
    byteSize(score.fileBytes),
    significant(score.storedBitsPerWeight),
    significant(score.tokensPerSecond),
  ]);
  return `${table(columns, [first, ...rows])}\n\n${reference.positions} positions scored.`;
}
