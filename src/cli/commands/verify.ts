import { appendFileSync } from 'node:fs';
import { fail } from '../../diagnostics.js';
import type { Check, Thresholds, VerifyInput, VerifyResult } from '../../evaluate/index.js';
import { choicesOf, defaultOf, describeOption as help } from '../../options/index.js';
import { type Command, defineCommand, type OptionTable, type Values } from '../command.js';
import { fileFlag, machineFlags, machineOf, overwriteFlag, textFlags, textOf, windowFlags } from '../options.js';
import { paragraphs, right, table } from '../render.js';
import { sameText } from '../same-text.js';
import { byteCount, decimalNumber, given, wholeNumber } from '../values.js';

const group = 'Thresholds (at least one, or --budget, --digests or --same-as):';
const sameGroup = 'Another set:';

const positionals = {
  original: { type: 'string', describe: help('verify', 'original') },
  candidate: { type: 'string', describe: help('verify', 'candidate') },
} as const satisfies OptionTable;

const options = {
  budget: { type: 'string', describe: help('verify', 'budget'), group },
  'max-kl': { type: 'string', describe: help('verify', 'thresholds', 'maxKl'), group },
  'max-nll-increase': { type: 'string', describe: help('verify', 'thresholds', 'maxNllIncrease'), group },
  'min-top1': { type: 'string', describe: help('verify', 'thresholds', 'minTop1'), group },
  'max-size': { type: 'string', describe: help('verify', 'thresholds', 'maxSize'), group },
  digests: { type: 'array', describe: help('verify', 'digests') },
  'same-as': { type: 'string', describe: help('verify', 'sameAs', 'set'), group: sameGroup },
  'max-code-share': { type: 'string', describe: help('verify', 'sameAs', 'maxCodeShare'), group: sameGroup },
  'max-weight-change': { type: 'string', describe: help('verify', 'sameAs', 'maxWeightChange'), group: sameGroup },
  ...fileFlag,
  unclear: {
    type: 'string',
    describe: help('verify', 'unclear'),
    choices: choicesOf('verify', 'unclear'),
    default: defaultOf('verify', 'unclear'),
  },
  junit: { type: 'string', describe: help('verify', 'junit') },
  sarif: { type: 'string', describe: help('verify', 'sarif') },
  summary: { type: 'string', describe: help('verify', 'summary') },
  annotate: {
    type: 'string',
    describe: 'Point at missed limits in the form of a service (default: where it runs)',
    choices: ['github', 'none'],
  },
  ...overwriteFlag,
  ...textFlags,
  window: windowFlags.window,
  windows: { type: 'string', describe: help('verify', 'windows'), group: 'Text:' },
  task: { type: 'array', describe: help('verify', 'tasks'), group: 'Text:' },
  ...machineFlags,
} as const satisfies OptionTable;

type Flags = Values<typeof positionals & typeof options>;

export const verifyCommand: Command = defineCommand({
  usage: 'verify [original] [candidate]',
  summary: 'Check budgets, thresholds and digests; exit code 3 if a check fails',
  positionals,
  options,
  examples: [
    ['verify model.onnx out/model_int4.onnx --max-kl 0.1 --ids windows.jsonl', 'quality, on token ids'],
    ['verify model.onnx out --budget matquant.budget.json --ids w.jsonl --windows auto', 'all models of a set'],
    ['verify model.onnx out/model_int2.onnx --max-size 820MB', 'size alone needs no text'],
    ['verify --digests out/model.json', 'checks all files of the set'],
    ['verify out --same-as published --max-code-share 0.01', 'a set from another machine'],
  ],
  async run(values, context) {
    const input = inputOf(values);
    const { githubAnnotations, summaryOf, verify } = await import('../../evaluate/index.js');
    const result = await verify(input, context);
    const { checks, budget } = result;
    const service = values.annotate ?? (process.env['GITHUB_ACTIONS'] === 'true' ? 'github' : 'none');
    const page = process.env['GITHUB_STEP_SUMMARY'];
    if (service === 'github' && page) appendFileSync(page, `${summaryOf(result)}\n`);
    return {
      data: result,
      text: await render(result),
      ...(service === 'github' && { annotations: githubAnnotations(checks, budget) }),
      ...(!result.passed && { exitCode: 3 as const }),
    };
  },
});

function inputOf(values: Flags): VerifyInput {
  const { digests, budget, task: tasks, tokenizer } = values;
  const thresholds = thresholdsOf(values);
  const sameAs = sameAsOf(values);
  const { original, candidate } = modelsOf(values, Object.keys(thresholds).length > 0 || budget !== undefined);
  const text = textOf(tasks === undefined || values.text !== undefined ? values : { ...values, tokenizer: undefined });
  const { maxSize, ...onText } = thresholds;
  if (text === undefined && Object.keys(onText).length > 0)
    fail('bad-usage', '--text', 'Quality thresholds need --text with --tokenizer, or --ids');
  return {
    ...given('original', original, String),
    ...given('file', values.file, String),
    ...given('candidate', candidate, String),
    ...given('budget', budget, String),
    ...(digests && { digests }),
    ...(sameAs && { sameAs }),
    thresholds,
    ...(text !== undefined && { text }),
    window: wholeNumber('--window', values.window, 2),
    ...given('windows', values.windows, (count) => (count === 'auto' ? count : wholeNumber('--windows', count))),
    unclear: values.unclear as 'value' | 'pass' | 'fail',
    ...(tasks && { tasks, ...given('tokenizer', tokenizer, String) }),
    ...machineOf(values),
    ...given('junit', values.junit, String),
    ...given('sarif', values.sarif, String),
    ...given('summary', values.summary, String),
    overwrite: values.overwrite,
  };
}

/** Thresholds need two models. A set that is compared with another needs no original, and may be the only model of the command line. */
function modelsOf(values: Flags, isMeasured: boolean): Pick<Flags, 'original' | 'candidate'> {
  const { original, candidate, digests, 'same-as': other } = values;
  if (isMeasured) {
    if (original === undefined || candidate === undefined)
      fail('bad-usage', 'matquant verify', 'Thresholds need two models: the original and the one to check');
    return { original, candidate };
  }
  if (other !== undefined) return { original: undefined, candidate: candidate ?? original };
  if (digests === undefined)
    fail('bad-usage', 'matquant verify', 'Give at least one threshold, --budget, --digests or --same-as');
  if (original !== undefined) fail('bad-usage', 'matquant verify', 'Models are of no use without a threshold');
  return { original, candidate };
}

function sameAsOf(flags: Flags): VerifyInput['sameAs'] {
  const set = flags['same-as'];
  const limits = {
    ...given('maxCodeShare', flags['max-code-share'], (text) => decimalNumber('--max-code-share', text)),
    ...given('maxWeightChange', flags['max-weight-change'], (text) => decimalNumber('--max-weight-change', text)),
  };
  if (set !== undefined) return { set, ...limits };
  if (Object.keys(limits).length > 0)
    fail('bad-usage', 'matquant verify', '--max-code-share and --max-weight-change need --same-as');
  return undefined;
}

function thresholdsOf(flags: Flags): Thresholds {
  return {
    ...given('maxKl', flags['max-kl'], (text) => decimalNumber('--max-kl', text)),
    ...given('maxNllIncrease', flags['max-nll-increase'], (text) => decimalNumber('--max-nll-increase', text)),
    ...given('minTop1', flags['min-top1'], (text) => decimalNumber('--min-top1', text)),
    ...given('maxSize', flags['max-size'], (text) => byteCount('--max-size', text)),
  };
}

async function render(result: VerifyResult): Promise<string> {
  const { passed, checks, digests, same, positions, windows } = result;
  const digested = [...(same ? [sameText(same)] : []), ...(digests ? [renderDigests(digests)] : [])].join('\n\n');
  if (checks.length === 0) return digested;
  const scored = positions === undefined ? '' : `${positions} positions in ${windows} windows scored.`;
  const last = passed ? 'All thresholds hold.' : 'A threshold is missed.';
  return paragraphs(await renderChecks(checks), reasonsOf(checks), scored, digested, last);
}

function renderDigests(digests: NonNullable<VerifyResult['digests']>): string {
  const wrong = digests.filter(({ problem }) => problem !== undefined);
  const lines = wrong.map(({ at, part, problem }) => `DAMAGED  ${at}: the ${part} ${problem}`);
  const rest = `${digests.length - wrong.length} of ${digests.length} parts have the digests they were written with.`;
  return [...lines, rest].join('\n');
}

async function renderChecks(checks: readonly Check[]): Promise<string> {
  const { figureOf, intervalText, measuredOf, verdictText } = await import('../../evaluate/index.js');
  const rows = checks.map((check) => [
    verdictText(check),
    check.model,
    check.name,
    measuredOf(check),
    intervalText(check),
    figureOf(check, check.limit),
  ]);
  const columns = [{ title: '' }, { title: 'model' }, { title: 'check' }];
  return table([...columns, right('value'), right('95 % interval'), right('limit')], rows);
}

/** Why limits that do not hold are what they are. */
function reasonsOf(checks: readonly Check[]): string {
  const missed = checks.filter(({ passed, reason }) => !passed && reason !== undefined);
  return [...new Set(missed.map(({ model, reason }) => `${model}: ${reason}`))].join('\n');
}
