import { fail } from '../../diagnostics.js';
import { type MixGoal, mix } from '../../pipeline/mix.js';
import { type Command, defineCommand } from '../command.js';
import { fileList, paragraphs, right, significant, table } from '../render.js';
import { byteCount, decimalNumber, given } from '../values.js';

export const mixCommand: Command = defineCommand({
  usage: 'mix <set>',
  summary: 'Mixed precision by layer: one more small graph over the data file of a set',
  positionals: { set: { type: 'string', describe: 'The .json of a set', required: true } },
  options: {
    'avg-bits': { type: 'string', describe: 'Average bits of a code, such as 2.5', group: 'Goal (one of):' },
    'target-size': { type: 'string', describe: 'Size of all files, such as 820MB', group: 'Goal (one of):' },
    'bits-file': { type: 'string', describe: 'JSON table from layer or projection to bits', group: 'Goal (one of):' },
    out: { type: 'string', alias: 'o', describe: 'ONNX file to write (default: beside the set)' },
    standalone: { type: 'boolean', describe: 'Write a self-contained model' },
  },
  examples: [
    ['mix out/model.json --avg-bits 2.5', 'the best layers for 2.5 bits on average'],
    ['mix out/model.json --target-size 820MB', 'the best model of that size'],
  ],
  async run(values, context) {
    const { set, out, standalone } = values;
    const result = await mix({ set, goal: goalOf(values), ...given('output', out, String), standalone }, context);
    const rows = result.layers.map(({ layer, bits }) => [String(layer), String(bits)]);
    const summary = `${significant(result.averageBits)} bits on average, ${significant(result.storedBitsPerWeight)} stored.`;
    const columns = [right('layer'), right('bits')];
    return { data: result, text: paragraphs(table(columns, rows), fileList(result.files), summary) };
  },
});

interface GoalFlags {
  readonly 'avg-bits': string | undefined;
  readonly 'target-size': string | undefined;
  readonly 'bits-file': string | undefined;
}

function goalOf({ 'avg-bits': average, 'target-size': size, 'bits-file': file }: GoalFlags): MixGoal {
  if ([average, size, file].filter((goal) => goal !== undefined).length !== 1) {
    fail('bad-usage', 'matquant mix', 'Give exactly one of --avg-bits, --target-size and --bits-file');
  }
  if (average !== undefined) return { averageBits: decimalNumber('--avg-bits', average, 1) };
  if (size !== undefined) return { targetBytes: byteCount('--target-size', size) };
  return { bitsFile: file ?? '' };
}
