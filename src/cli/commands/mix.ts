import { fail } from '../../diagnostics.js';
import type { MixGoal, MixResult } from '../../pipeline/mix/mix.js';
import { type Command, defineCommand } from '../command.js';
import { searchFlags, searchOf, shapeFlag } from '../mix-flags.js';
import { overwriteFlag } from '../options.js';
import { byteSize, fileList, paragraphs, right, significant, table } from '../render.js';
import { byteCount, decimalNumber, given } from '../values.js';

const GOAL = 'Goal (one of):';

export const mixCommand: Command = defineCommand({
  usage: 'mix <set>',
  summary: 'Mixed precision by layer: one more small graph over the data file of a set',
  positionals: { set: { type: 'string', describe: 'The .json of a set', required: true } },
  options: {
    'avg-bits': { type: 'string', describe: 'Average bits of a code as it is stored, such as 2.5', group: GOAL },
    'target-size': {
      type: 'string',
      describe: 'Size of the graph and of all that it reads, such as 820MB',
      group: GOAL,
    },
    'max-kl': { type: 'string', describe: 'The smallest mix with at most this KL, nats per position', group: GOAL },
    'bits-file': { type: 'string', describe: 'JSON table from layer or projection to bits', group: GOAL },
    shape: shapeFlag,
    ...searchFlags,
    out: {
      type: 'string',
      alias: 'o',
      describe: 'ONNX file to write (default: beside the set); in another folder it gets a data file of what it reads',
    },
    standalone: { type: 'boolean', describe: 'Write a self-contained model' },
    ...overwriteFlag,
    'save-bits': { type: 'string', describe: 'Write the precisions as a bits file too' },
  },
  examples: [
    ['mix out/model.json --avg-bits 2.5', 'a good mix for 2.5 bits on average, from what the solver reported'],
    ['mix out/model.json --avg-bits 2.5 --ids windows.jsonl', 'the best that is found by running mixes on text'],
    ['mix out/model.json --target-size 820MB -o small/model.onnx', 'the best model of that size'],
  ],
  async run(values, context) {
    const { set, out, standalone } = values;
    const search = searchOf(values);
    const shape = values.shape as NonNullable<typeof search.shape> | undefined;
    const { mix } = await import('../../pipeline/mix/mix.js');
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
