import { choicesOf, describeOption as help } from '../../options/index.js';
import type { Format } from '../../package/index.js';
import type { PlanResult } from '../../work/index.js';
import { type Command, defineCommand } from '../command.js';
import { compileFlags, inputOf } from '../compile-flags.js';
import { byteSize, duration, paragraphs, right, table } from '../render.js';

export const planCommand: Command = defineCommand({
  usage: 'plan <model>',
  summary: 'Plan a compilation as units that any number of workers run',
  positionals: { model: { type: 'string', describe: help('plan', 'model'), required: true } },
  options: {
    out: { type: 'string', alias: 'o', describe: help('plan', 'output'), required: true },
    for: { type: 'array', describe: `${help('plan', 'for')}; repeatable`, choices: choicesOf('plan', 'for') },
    ...compileFlags,
  },
  examples: [
    ['plan model.onnx -o plan --text c4.txt --shards 8', 'then matquant worker plan, as often as you like'],
    ['plan hf:ORG/NAME -o plan --text c4 --memory 8GiB', 'refused where a unit does not fit the memory'],
    ['plan model.onnx -o s3://BUCKET/PLAN --text c4.txt', 'for workers that share no folder'],
  ],
  async run(values, context) {
    const { plan } = await import('../../work/index.js');
    const packaged = values.for === undefined ? {} : { for: values.for as readonly Format[] };
    const result = await plan({ ...inputOf(values, context), ...packaged, output: values.out }, context);
    return { data: result, text: render(result) };
  },
});

function render({ folder, units, memoryBytes }: PlanResult): string {
  const kinds = [...new Set(units.map(({ kind }) => kind))];
  const rows = kinds.map((kind) => {
    const own = units.filter((unit) => unit.kind === kind);
    const seconds = own.reduce((sum, { cost }) => sum + cost.seconds, 0);
    return [kind, String(own.length), byteSize(Math.max(...own.map((unit) => unit.memoryBytes))), duration(seconds)];
  });
  return paragraphs(
    table([{ title: 'units' }, right('number'), right('memory'), right('guessed time')], rows),
    `${folder}: a worker needs ${byteSize(memoryBytes)} to run every unit. Start workers with matquant worker ${folder}.`,
  );
}
