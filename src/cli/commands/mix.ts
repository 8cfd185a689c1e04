import { fail } from '../../diagnostics.js';
import type { MixGoal, MixResult } from '../../mix/index.js';
import { describeOption as help } from '../../options/index.js';
import { type Command, defineCommand } from '../command.js';
import { searchFlags, searchOf, shapeFlag } from '../mix-flags.js';
import { overwriteFlag } from '../options.js';
import { byteSize, fileList, paragraphs, right, significant, table } from '../render.js';
import { byteCount, decimalNumber, given } from '../values.js';

const GOAL = 'Goal (one of):';

export const mixCommand: Command = defineCommand({
  usage: 'mix <set>',
  summary: 'Mixed precision by layer or projection: one more graph on the data file of a set',
  positionals: { set: { type: 'string', describe: help('mix', 'set'), required: true } },
  options: {
    'avg-bits': { type: 'string', describe: help('mix', 'goal', 'averageBits'), group: GOAL },
    'target-size': {
      type: 'string',
      describe: help('mix', 'goal', 'targetBytes'),
      group: GOAL,
    },
    'max-kl': { type: 'string', describe: help('mix', 'goal', 'maxKl'), group: GOAL },
    'bits-file': { type: 'string', describe: help('mix', 'goal', 'bitsFile'), group: GOAL },
    shape: shapeFlag,
    ...searchFlags,
    out: {
      type: 'string',
      alias: 'o',
      describe: help('mix', 'output'),
    },
    standalone: { type: 'boolean', describe: help('mix', 'standalone') },
    ...overwriteFlag,
    'save-bits': { type: 'string', describe: help('mix', 'saveBits') },
  },
  examples: [
    ['mix out/model.json --avg-bits 2.5', 'a mix of 2.5 bits on average, from the errors that the solver reported'],
    ['mix out/model.json --avg-bits 2.5 --ids windows.jsonl', 'the best mix found by running mixes on text'],
    ['mix out/model.json --target-size 820MB -o small/model.onnx', 'the best model of that size'],
  ],
  async run(values, context) {
    const { set, out, standalone } = values;
    const search = searchOf(values);
    const shape = values.shape as NonNullable<typeof search.shape> | undefined;
    const { mix } = await import('../../mix/index.js');
    const result = await mix(
      {
        set,
        goal: goalOf(values),
        search: { ...search, ...(shape !== undefined && { shape }) },
        ...given('output', out, String),
        ...given('saveBits', values['save-bits'], String),
        standalone,
        overwrite: values.overwrite,
      },
      context,
    );
    return { data: result, text: render(result) };
  },
});

function render(result: MixResult): string {
  const rows = result.layers.map(({ layer, bits }) => [String(layer), significant(bits)]);
  const columns = [right('layer'), right('bits')];
  const bits = `${significant(result.averageBits)} bits on average, ${significant(result.storedBitsPerWeight)} stored`;
  const size = `${bits}; the graph and what it reads are ${byteSize(result.totalBytes)}.`;
  return paragraphs(table(columns, rows), fileList(result.files), size, found(result));
}

function found({ search }: MixResult): string {
  if (search === undefined) return '';
  const { method, kl, reference, evaluations, sensitivityEvaluations, seconds } = search;
  if (kl === undefined) return `Chosen by ${method} from estimates.`;
  const against = reference === 'parent' ? 'the set at its highest precision' : reference;
  const runs = `${evaluations} mixes run after ${sensitivityEvaluations} for sensitivities, ${seconds.toFixed(0)} s`;
  return `Chosen by ${method}: KL ${significant(kl)} to ${against} on the text of the search; ${runs}.`;
}

interface GoalFlags {
  readonly 'avg-bits': string | undefined;
  readonly 'target-size': string | undefined;
  readonly 'max-kl': string | undefined;
  readonly 'bits-file': string | undefined;
}

function goalOf(flags: GoalFlags): MixGoal {
  const { 'avg-bits': average, 'target-size': size, 'max-kl': kl, 'bits-file': file } = flags;
  if ([average, size, kl, file].filter((goal) => goal !== undefined).length !== 1) {
    fail('bad-usage', 'matquant mix', 'Give exactly one of --avg-bits, --target-size, --max-kl and --bits-file');
  }
  if (average !== undefined) return { averageBits: decimalNumber('--avg-bits', average, 1) };
  if (size !== undefined) return { targetBytes: byteCount('--target-size', size) };
  if (kl !== undefined) return { maxKl: decimalNumber('--max-kl', kl) };
  return { bitsFile: file ?? '' };
}
