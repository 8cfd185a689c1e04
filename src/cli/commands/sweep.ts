import { fail } from '../../diagnostics.js';
import type { SweepInput, SweepResult } from '../../mix/index.js';
import { choicesOf, defaultOf, describeOption as help } from '../../options/index.js';
import { type Command, defineCommand } from '../command.js';
import { searchFlags, searchOf } from '../mix-flags.js';
import { overwriteFlag } from '../options.js';
import { byteSize, paragraphs, right, significant, table } from '../render.js';
import { decimalNumber, given, wholeNumber } from '../values.js';

const { method: _, fix: _fix, ...shared } = searchFlags;

export const sweepCommand: Command = defineCommand({
  usage: 'sweep <set>',
  summary: 'Compare size and quality of uniform precisions, named shapes and searched mixes',
  positionals: { set: { type: 'string', describe: help('sweep', 'set'), required: true } },
  options: {
    'avg-bits': {
      type: 'string',
      default: defaultOf('sweep', 'averageBits'),
      describe: help('sweep', 'averageBits'),
      group: 'Search:',
    },
    methods: {
      type: 'string',
      default: defaultOf('sweep', 'methods'),
      describe: help('sweep', 'methods'),
      group: 'Search:',
    },
    ...shared,
    'score-text': {
      type: 'array',
      describe: 'Text to score on (default: the text after the search text)',
      group: 'Text:',
    },
    'score-ids': { type: 'string', describe: 'Token ids to score on', group: 'Text:' },
    'score-tokens': {
      type: 'string',
      default: defaultOf('sweep', 'score', 'tokens'),
      describe: 'Tokens to score on',
      group: 'Text:',
    },
    out: { type: 'string', alias: 'o', describe: help('sweep', 'output') },
    ...overwriteFlag,
  },
  examples: [['sweep out/model.json --ids windows.jsonl --original model.onnx', 'what `report` draws as a front']],
  async run(values, context) {
    const search = searchOf({ ...values, method: undefined, fix: undefined });
    const { measure } = search;
    if (measure === undefined) return fail('bad-usage', '--text', 'Give --text with --tokenizer, or --ids');
    const averageBits = values['avg-bits'].split(',').map((part) => decimalNumber('--avg-bits', part, 1));
    const methods = values.methods.split(',').map(methodOf);
    const score = scoreOf(values, measure);
    const output = given('output', values.out, String);
    const { sweep } = await import('../../mix/index.js');
    const result = await sweep(
      {
        set: values.set,
        averageBits,
        methods,
        search: { ...search, measure },
        score,
        ...output,
        overwrite: values.overwrite,
      },
      context,
    );
    return { data: result, text: render(result) };
  },
});

type Method = NonNullable<SweepInput['methods']>[number];

function methodOf(name: string): Method {
  const methods = choicesOf('sweep', 'methods');
  const found = methods.find((method) => method === name.trim());
  return (found as Method) ?? fail('bad-usage', '--methods', `${name} is not one of ${methods.join(', ')}`);
}

interface ScoreFlags {
  readonly 'score-text': readonly string[] | undefined;
  readonly 'score-ids': string | undefined;
  readonly 'score-tokens': string;
}

type Meter = SweepInput['search']['measure'];

function scoreOf(flags: ScoreFlags, measure: Meter): Meter {
  const { 'score-text': files, 'score-ids': ids } = flags;
  const tokens = wholeNumber('--score-tokens', flags['score-tokens'], 2);
  if (files !== undefined && ids !== undefined)
    fail('bad-usage', '--score-ids', 'Give --score-text or --score-ids, not both');
  if (ids !== undefined) return { ...measure, text: { ids }, tokens };
  if (files === undefined) return { ...measure, tokens, ...(measure.tokens !== undefined && { skip: measure.tokens }) };
  if ('ids' in measure.text) return fail('bad-usage', '--score-text', '--score-text needs --text with --tokenizer');
  return { ...measure, text: { ...measure.text, files }, tokens };
}

function render({ points, positions, path, reference }: SweepResult & { readonly path: string }): string {
  const titles = ['bits', 'stored', 'size', 'KL', 'Δ NLL', 'KL of the search', 'mixes run', 'seconds'];
  const rows = points.map((point) => [
    `${point.name}${point.isBest ? ' *' : ''}`,
    significant(point.averageBits),
    significant(point.storedBitsPerWeight),
    byteSize(point.bytes),
    significant(point.kl),
    significant(point.deltaNll),
    significant(point.searchKl),
    String(point.evaluations),
    point.seconds.toFixed(0),
  ]);
  const against = reference === 'parent' ? 'the set at its highest precision' : reference;
  const note = `${positions} positions, compared with ${against}; * no other is both smaller and better. Saved as ${path}.`;
  return paragraphs(table([{ title: 'mix' }, ...titles.map(right)], rows), note);
}
