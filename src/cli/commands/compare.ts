import type { CompareResult } from '../../evaluate/index.js';
import { describeOption as help } from '../../options/index.js';
import { type Command, defineCommand } from '../command.js';
import { machineFlags, machineOf, overwriteFlag, textFlags, textOf, windowFlags } from '../options.js';
import { paragraphs, right, table } from '../render.js';
import { given, wholeNumber } from '../values.js';

export const compareCommand: Command = defineCommand({
  usage: 'compare <base> <head>',
  summary: 'Compare two sets, models or saved results: what got larger, worse or slower',
  positionals: {
    base: { type: 'string', describe: help('compare', 'base'), required: true },
    head: { type: 'string', describe: help('compare', 'head'), required: true },
  },
  options: {
    model: { type: 'string', describe: help('compare', 'model') },
    'without-speed': { type: 'boolean', describe: 'Do not measure tokens per second' },
    'fail-on-worse': { type: 'boolean', describe: 'Exit code 3 where a model is worse' },
    markdown: { type: 'string', describe: help('compare', 'markdown') },
    ...overwriteFlag,
    ...textFlags,
    ...windowFlags,
    ...machineFlags,
  },
  examples: [
    ['compare base/model.json head/model.json', 'sizes, and errors by layer'],
    ['compare base head --model model.onnx --ids windows.jsonl --markdown comment.md', 'quality too'],
    ['compare base.eval.json head.eval.json', 'results that eval --json printed'],
  ],
  async run(values, context) {
    const text = textOf(values);
    const { compare } = await import('../../evaluate/index.js');
    const result = await compare(
      {
        base: values.base,
        head: values.head,
        ...given('model', values.model, String),
        ...(text !== undefined && { text }),
        window: wholeNumber('--window', values.window, 2),
        ...given('windows', values.windows, (value) => wholeNumber('--windows', value)),
        speed: !values['without-speed'],
        ...machineOf(values),
        ...given('markdown', values.markdown, String),
        overwrite: values.overwrite,
      },
      context,
    );
    const isWorse = values['fail-on-worse'] && result.verdict === 'worse';
    return { data: result, text: await render(result), ...(isWorse && { exitCode: 3 as const }) };
  },
});

async function render({ models, onlyBase, onlyHead, verdict, windows, paired }: CompareResult): Promise<string> {
  const { differenceText, figureOf, titleOf } = await import('../../evaluate/index.js');
  const rows = models.flatMap(({ name, changes }) =>
    changes.map((change) => [
      name,
      titleOf(change),
      figureOf(change, change.base),
      figureOf(change, change.head),
      differenceText(change),
      change.verdict,
    ]),
  );
  const titles = ['base', 'head', 'difference'].map(right);
  const text = windows === undefined ? '' : `${windows} windows, ${paired ? 'the same' : 'others'} on both sides.`;
  return paragraphs(
    table([{ title: 'model' }, { title: 'figure' }, ...titles, { title: 'verdict' }], rows),
    onlyBase.length > 0 ? `Only in base: ${onlyBase.join(', ')}.` : '',
    onlyHead.length > 0 ? `Only in head: ${onlyHead.join(', ')}.` : '',
    text,
    verdict === undefined ? '' : `Verdict: ${verdict}.`,
  );
}
