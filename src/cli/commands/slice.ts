import { choicesOf, defaultOf, describeOption as help } from '../../options/index.js';
import type { SliceResult } from '../../set/index.js';
import { type Command, defineCommand } from '../command.js';
import { overwriteFlag, textFlags, textWithTokenizer } from '../options.js';
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
    float16: { type: 'boolean', describe: help('slice', 'float16') },
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
    ...textFlags,
  },
  examples: [
    ['slice out/model.json --bits 4 -o int4/model.onnx', 'the int4 model and a data file cut after it'],
    ['slice out/model.json --bits 2 -o model_q2.onnx --standalone', 'self-contained, packed for the runtime'],
  ],
  async run(values, context) {
    const { set, bits, out, standalone, slice: kind, format, float16, overwrite } = values;
    const cut = { slice: sliceKind(kind), format: format === 'qdq' ? 'qdq' : 'matmulnbits' } as const;
    const text = textWithTokenizer(values);
    const measured = { ...(float16 && { float16 }), ...(text !== undefined && { text }) };
    const options = { set, bits: wholeNumber('--bits', bits), output: out, standalone, overwrite, ...cut, ...measured };
    const { slice } = await import('../../set/index.js');
    const result = await slice(options, context);
    return {
      data: result,
      text: paragraphs(
        fileList(result.files),
        `${significant(result.storedBitsPerWeight)} stored bits per weight (codes, scales and offsets).`,
        result.float16 === undefined ? '' : halfText(result.float16),
      ),
    };
  },
});

/** What stayed float32, in words. */
function halfText({ wide, measured, on }: NonNullable<SliceResult['float16']>): string {
  const over = `measured over ${on === 'text' ? 'the text' : 'random token ids'}`;
  if (wide.length === 0) return `All ${measured} activations ${over} are in the range of float16.`;
  const named = wide.find(({ largest }) => typeof largest === 'number' && largest < MASK);
  const example = named === undefined ? '' : `; ${named.name} reaches ${significant(Number(named.largest))}`;
  return `${wide.length} of ${measured} activations ${over} stay float32, masks included${example}.`;
}

/** Numbers of this size stand for infinity. */
const MASK = 1e30;

const sliceKind = (kind: string): 'prefix' | 'paper' | 'extra' =>
  kind === 'paper' || kind === 'extra' ? kind : 'prefix';
