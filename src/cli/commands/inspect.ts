import type { InspectResult } from '../../compile/index.js';
import { describeOption as help } from '../../options/index.js';
import { RUNTIMES, type RuntimeName } from '../../recipe/index.js';
import { type Command, defineCommand } from '../command.js';
import { fileFlag } from '../options.js';
import { recipeFlags, recipeOf, targetOf } from '../recipe-flags.js';
import { byteSize, type Column, counted, paragraphs, right, significant, table } from '../render.js';
import { given } from '../values.js';

export const inspectCommand: Command = defineCommand({
  usage: 'inspect <model>',
  summary: 'Show what would be quantized, what would not and why, and the size of each precision; writes nothing',
  positionals: { model: { type: 'string', describe: help('inspect', 'model'), required: true } },
  options: { ...fileFlag, ...recipeFlags },
  examples: [
    ['inspect model.onnx', 'a dry run of the default recipe'],
    ['inspect model.onnx --scope ffn+attention --json', 'the same for a wider scope, for machines'],
  ],
  async run(values, context) {
    const { inspect } = await import('../../compile/index.js');
    const input = { model: values.model, ...given('file', values.file, String) };
    const result = await inspect({ ...input, recipe: recipeOf(values, true), ...targetOf(values) }, context);
    return { data: result, text: render(result) };
  },
});

function render(result: InspectResult): string {
  const rows = result.projections.map(({ layer, role, node, k, n, status, code, reason }) => [
    layer === null ? '-' : String(layer),
    role ?? '-',
    k === null || n === null ? '-' : `${k} x ${n}`,
    status === 'quantizable' ? 'quantizable' : `${reason} [${code}]`,
    node,
  ]);
  const columns: readonly Column[] = [
    right('layer'),
    { title: 'role' },
    right('k x n'),
    { title: 'status' },
    { title: 'node' },
  ];
  return paragraphs(
    header(result),
    rewriting(result),
    feeding(result),
    table(columns, rows),
    table(
      [{ title: 'model' }, right('bits/weight'), ...PARTS.map(right), right('size')],
      [
        ['float', '', ...parts(result.budget), byteSize(result.floatBytes)],
        ...Object.entries(result.sizes).map(([name, { bytes, budget, storedBitsPerWeight }]) => {
          return [name, significant(storedBitsPerWeight), ...parts(budget), byteSize(bytes)];
        }),
      ],
    ),
    runtimes(result),
    result.projections.some(({ code }) => code === 'weight-overridable')
      ? 'Weights that are graph inputs too are quantized with --initializer-inputs constant.'
      : '',
    `Memory of a compilation: about ${byteSize(result.peakMemoryBytes)}; activations and the check of the graphs take up to --memory more`,
  );
}

/** The oldest versions that run each model; docs/runtimes.md has the facts. */
function runtimes(result: InspectResult): string {
  const names = Object.keys(RUNTIMES) as readonly RuntimeName[];
  const rows = Object.entries(result.runtimes).map(([name, oldest]) => [
    name,
    ...names.map((each) => oldest[each] ?? 'no'),
  ]);
  return table([{ title: 'runs from' }, ...names.map(right)], rows);
}

/** What reading the model changed in its graph. */
function rewriting({ passes }: InspectResult): string {
  const said = passes.map(({ name, changes }) => `${name} (${counted(changes, 'change')})`);
  return said.length === 0 ? '' : `Rewritten by ${said.join(', ')}; matquant explain PASS says how`;
}

/** What stands in the way of a compilation, and what is made up in one. */
function feeding({ inputs, problems, understood }: InspectResult): string {
  const vectors = inputs.filter(({ role }) => role === 'vectors');
  const named = (of: typeof vectors): string => of.map(({ name }) => name).join(', ');
  const [random, embedded] = [vectors.filter(({ from }) => from === undefined), vectors.filter(({ from }) => from)];
  const made = [
    ...(random.length === 0 ? [] : [`Fed with random vectors, since no embedding makes them: ${named(random)}`]),
    ...(embedded.length === 0 ? [] : [`Fed with vectors of ${embedded[0]?.from}: ${named(embedded)}`]),
  ];
  const refused = problems.map((problem) => `Cannot be compiled: ${problem}`);
  return [...made, ...refused, ...(refused.length === 0 ? [] : [`Inputs that can be fed: ${understood}`])].join('\n');
}

const PARTS = ['ffn', 'attention', 'embedding', 'head', 'other'] as const;

const parts = (budget: InspectResult['budget']): readonly string[] =>
  PARTS.map((part) => (budget[part] === 0 ? '-' : byteSize(budget[part])));

function header({ path, producer, opset, layers, activation, embedding, tables }: InspectResult): string {
  const origin = producer === '' ? '' : ` from ${producer}`;
  const vocabulary = embedding === null ? '' : `, ${embedding.vocabulary} x ${embedding.hidden} embedding`;
  const copy = embedding?.head === 'copy' ? '; the head repeats it' : '';
  const others = tables.map(({ at, vocabulary: rows, hidden }) => `, ${rows} x ${hidden} look-up ${at}`).join('');
  return `${path}: opset ${opset}${origin}, ${layers} layers, ${activation ?? 'no'} activation${vocabulary}${copy}${others}`;
}
