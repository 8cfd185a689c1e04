import type { LambdaSearchResult } from '../../compile/index.js';
import { fail } from '../../diagnostics.js';
import { defaultOf, describeOption as help } from '../../options/index.js';
import { nameOf } from '../../recipe/index.js';
import { type Command, defineCommand } from '../command.js';
import { fileFlag, machineFlags, machineOf, runFlags, textFlags, textOf } from '../options.js';
import { recipeFlags, recipeOf } from '../recipe-flags.js';
import { paragraphs, right, significant, table } from '../render.js';
import { decimalNumber, given, wholeNumber } from '../values.js';

export const lambdaCommand: Command = defineCommand({
  usage: 'lambda <model>',
  summary: 'Compare weights of the precisions: compile and score each candidate on held-out text',
  positionals: { model: { type: 'string', describe: help('lambda', 'model'), required: true } },
  options: {
    lambdas: {
      type: 'string',
      default: '.1,.1,1;.2,.2,1;.4,.4,1;1,1,1',
      describe: 'Candidates separated by semicolons: weights from the highest to the lowest precision',
      group: 'Search:',
    },
    grid: {
      type: 'string',
      describe: 'Instead of --lambdas: weights to combine for all precisions but the lowest, which has 1',
      group: 'Search:',
    },
    kept: { type: 'string', default: defaultOf('lambda', 'kept'), describe: help('lambda', 'kept'), group: 'Search:' },
    ...fileFlag,
    ...recipeFlags,
    ...textFlags,
    ...machineFlags,
    ...runFlags,
  },
  examples: [
    ['lambda model.onnx --preset paper-matquant-gemma --ids windows.jsonl', 'the weights of the paper, compared'],
  ],
  async run(values, context) {
    const text = textOf(values) ?? fail('bad-usage', '--text', 'Give --text with --tokenizer, or --ids');
    const recipe = recipeOf(values, true);
    const { bits } = recipe;
    const candidates =
      values.grid === undefined ? listed(values.lambdas, bits) : gridOf(numbers('--grid', values.grid), bits);
    const { searchLambda } = await import('../../compile/index.js');
    const result = await searchLambda(
      {
        model: values.model,
        ...given('file', values.file, String),
        recipe,
        candidates,
        text,
        kept: wholeNumber('--kept', values.kept),
        ...machineOf(values),
        seed: wholeNumber('--seed', values.seed, 0),
        ...given('work', values.work, String),
      },
      context,
    );
    return { data: result, text: render(result) };
  },
});

type Lambda = Readonly<Record<number, number>>;

const numbers = (flag: string, text: string): readonly number[] =>
  text.split(',').map((part) => decimalNumber(flag, part.trim()));

function listed(text: string, bits: readonly number[]): readonly Lambda[] {
  return text.split(';').map((part) => {
    const weights = numbers('--lambdas', part);
    if (weights.length !== bits.length)
      fail('bad-usage', '--lambdas', `${part} has ${weights.length} weights for ${bits.length} precisions`);
    return Object.fromEntries(bits.map((each, at) => [each, weights[at] as number]));
  });
}

/** Every combination. */
function gridOf(weights: readonly number[], bits: readonly number[]): readonly Lambda[] {
  const higher = bits.slice(0, -1);
  const start: readonly Lambda[] = [{ [bits.at(-1) as number]: 1 }];
  return higher.reduce(
    (all, each) => all.flatMap((one) => weights.map((weight) => ({ ...one, [each]: weight }))),
    start,
  );
}

function render({ rows, best, windows, kept, positions }: LambdaSearchResult): string {
  const bits = Object.keys(rows[0]?.kl ?? {})
    .map(Number)
    .sort((a, b) => b - a);
  const lines = rows.map(({ lambda, kl, sum, isFront, seconds }) => [
    `${nameOf(lambda)}${isFront ? ' *' : ''}`,
    ...bits.map((each) => significant(kl[each] ?? 0)),
    significant(sum),
    seconds.toFixed(0),
  ]);
  const titles = [...bits.map((each) => `KL int${each}`), 'sum', 'seconds'];
  const note = `Compiled on ${windows} windows, scored on ${kept} others (${positions} positions); * no other is at least as good at every precision.`;
  return paragraphs(
    table([{ title: 'weights' }, ...titles.map(right)], lines),
    `${note} Smallest sum: ${nameOf(best)}.`,
  );
}
