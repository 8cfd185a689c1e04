import { describeOption as help } from '../../options/index.js';
import { type Command, defineCommand } from '../command.js';
import { byteSize } from '../render.js';
import { wholeNumber } from '../values.js';

export const appendCommand: Command = defineCommand({
  usage: 'append <set>',
  summary: 'Append missing bytes to a shortened data file, so that a higher precision runs',
  positionals: { set: { type: 'string', describe: help('append', 'set'), required: true } },
  options: {
    bits: { type: 'string', describe: help('append', 'bits'), required: true },
    from: { type: 'string', describe: help('append', 'from'), required: true },
  },
  examples: [['append small/model.json --bits 4 --from full/model.1f2e3d4c.data', 'from int2 up to int4']],
  async run({ set, bits, from }, context) {
    const { append } = await import('../../set/index.js');
    const result = await append({ set, bits: wholeNumber('--bits', bits), from }, context);
    const added = byteSize(result.appendedBytes);
    return { data: result, text: `${result.path}: ${added} appended, ${byteSize(result.bytes)} in all.` };
  },
});
