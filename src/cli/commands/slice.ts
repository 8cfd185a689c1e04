import { choicesOf, defaultOf, describeOption as help } from '../../options/index.js';
import { type Command, defineCommand } from '../command.js';
import { overwriteFlag } from '../options.js';
import { fileList, paragraphs, significant } from '../render.js';
import { wholeNumber } from '../values.js';

export const sliceCommand: Command = defineCommand({
  usage: 'slice <set>',
  summary: 'Extract one precision from a nested set; needs no text and no original model',
  positionals: { set: { type: 'string', describe: help('slice', 'set'), required: true } },
  options: {
    bits: { type: 'string', describe: help('slice', 'bits'), required: true },
    out: { type: 'string', alias: 'o', describe: help('slice', 'output'), required: true },
    standalone: { type: 'boolean', describe: help('slice', 'standalone') },
    ...overwriteFlag,
    slice: {
      type: 'string',
      choices: choicesOf('slice', 'slice'),
      default: defaultOf('slice', 'slice'),
      describe: help('slice', 'slice'),
    },
    format: {
      type: 'string',
      choices: choicesOf('slice', 'format'),
      default: defaultOf('slice', 'format'),
      describe: help('slice', 'format'),
    },
  },
  examples: [
    ['slice out/model.json --bits 4 -o int4/model.onnx', 'the int4 model and a data file cut after it'],
    ['slice out/model.json --bits 2 -o model_q2.onnx --standalone', 'self-contained, packed for the runtime'],
  ],
  async run({ set, bits, out, standalone, slice: kind, format, overwrite }, context) {
    const cut = { slice: sliceKind(kind), format: format === 'qdq' ? 'qdq' : 'matmulnbits' } as const;
    const options = { set, bits: wholeNumber('--bits', bits), output: out, standalone, overwrite, ...cut };
    const { slice } = await import('../../set/index.js');
    const result = await slice(options, context);
    return {
      data: result,
      text: paragraphs(
        fileList(result.files),
        `${significant(result.storedBitsPerWeight)} stored bits per weight (codes, scales and offsets).`,
      ),
    };
  },
});

const sliceKind = (kind: string): 'prefix' | 'paper' | 'extra' =>
  kind === 'paper' || kind === 'extra' ? kind : 'prefix';
