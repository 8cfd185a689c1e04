import type { CompileInput, CompileResult } from '../../compile/index.js';
import { fail } from '../../diagnostics.js';
import type { Context } from '../../log.js';
import { choicesOf, describeOption as help } from '../../options/index.js';
import type { Format } from '../../package/index.js';
import { type Command, defineCommand } from '../command.js';
import { compileFlags, inputOf } from '../compile-flags.js';
import { byteSize, duration, fileList, paragraphs, right, significant, table } from '../render.js';
import { given } from '../values.js';

const { file, name, standalone, strict, ...rest } = compileFlags;

export const compileCommand: Command = defineCommand({
  usage: 'compile <model>',
  summary: 'Compile a float export into one nested set: a data file and a small graph for each precision',
  positionals: { model: { type: 'string', describe: help('compile', 'model'), required: true } },
  options: {
    out: { type: 'string', alias: 'o', describe: help('compile', 'output') },
    ...{ file, name, standalone, strict },
    for: {
      type: 'array',
      describe: `${help('compileFor', 'for')}; repeatable`,
      choices: choicesOf('compileFor', 'for'),
    },
    float16: { type: 'boolean', describe: help('compileFor', 'float16') },
    provenance: { type: 'string', describe: help('compile', 'provenance') },
    ...rest,
  },
  examples: [
    ['compile model.onnx -o out --preset data-free', 'without any text, in seconds'],
    ['compile hf:ORG/NAME --text c4', 'from the hub, calibrated on C4'],
    ['compile model.onnx -o out --text c4.txt --tokenizer tokenizer.json', 'calibrated, the default recipe'],
    ['compile model.onnx -o out --for transformers.js --preset deploy-int4', 'a folder that transformers.js loads'],
    ['compile model.onnx -o out --recipe recipe.json --ids windows.jsonl', 'by a recipe file, on token ids'],
  ],
  async run(values, context) {
    const input = {
      ...inputOf(values, context),
      ...given('output', values.out, String),
      ...given('provenance', values.provenance, String),
    };
    if (values.float16 && !values.for?.includes('transformers.js'))
      fail('bad-usage', '--float16', '--float16 has no effect without --for transformers.js');
    const result = await (values.for === undefined ? compiled(input, context) : packaged(input, values, context));
    return { data: result, text: renderCompiled(result) };
  },
});

const compiled = async (input: CompileInput, context: Context): Promise<CompileResult> =>
  (await import('../../compile/index.js')).compile(input, context);

async function packaged(
  input: CompileInput,
  values: { readonly for?: readonly string[] | undefined; readonly standalone: boolean; readonly float16: boolean },
  context: Context,
): Promise<CompileResult> {
  if (values.standalone) fail('bad-usage', '--standalone', '--for decides itself which models are self-contained');
  const { compileFor } = await import('../../package/index.js');
  const { float16 } = values;
  return compileFor({ ...input, for: (values.for ?? []) as readonly Format[], ...(float16 && { float16 }) }, context);
}

/** A compilation in words. */
export function renderCompiled({
  files,
  precisions,
  quantized,
  tables,
  distilled,
  refused,
  seconds,
}: CompileResult): string {
  const probed = precisions.find(({ probe }) => probe !== undefined)?.probe;
  const rows = precisions.map(({ bits, bytes, storedBitsPerWeight, probe }) => [
    `int${bits}`,
    byteSize(bytes),
    significant(storedBitsPerWeight),
    ...(probe === undefined ? [] : [significant(probe.kl), `${significant(100 * probe.top1)} %`]),
  ]);
  const columns = [{ title: 'model' }, right('size'), right('bits/weight')];
  return paragraphs(
    table(probed === undefined ? columns : [...columns, right('KL'), right('top-1')], rows),
    probed === undefined
      ? ''
      : `KL to the source and agreement with it over ${probed.positions} positions of ${SCORED[probed.scored]}. This is a check, not a score; see matquant eval.`,
    distilled
      .map(
        ({ bits, steps, kept: { before, after } }) =>
          `int${bits} distilled: ${significant(before)} to ${significant(after)} on held-out text, ${steps} steps`,
      )
      .join('\n'),
    tables
      .map(
        ({ name, tied, bits, rows, bytes }) =>
          `${tied ? 'embedding and head' : name}: ${bits} bits, ${rows} rows, ${byteSize(bytes)}`,
      )
      .join('\n'),
    leftOver(refused),
    fileList(files),
    `${quantized} projections quantized in ${duration(seconds)}.`,
  );
}

/** What the check was made on. */
const SCORED = {
  'held-out text': 'held-out text',
  'calibration text': 'the calibration text itself',
  'random ids': 'random token ids',
} as const;

/** One line per reason, naming a few of those that it holds for; --json has them all. */
function leftOver(refused: CompileResult['refused']): string {
  const reasons = new Map<string, string[]>();
  for (const { at, code, reason } of refused) {
    const key = `${reason} [${code}]`;
    reasons.set(key, [...(reasons.get(key) ?? []), at]);
  }
  const lines = [...reasons].map(([reason, places]) => {
    const more = places.length > 4 ? ` and ${places.length - 3} more` : '';
    return `  ${reason}: ${places.slice(0, more === '' ? 4 : 3).join(', ')}${more}`;
  });
  return lines.length === 0 ? '' : ['Not quantized:', ...lines].join('\n');
}
