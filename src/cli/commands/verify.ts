import { fail } from '../../diagnostics.js';
import type { Thresholds, VerifyResult } from '../../evaluate/index.js';
import { describeOption as help } from '../../options/index.js';
import { type Command, defineCommand } from '../command.js';
import { fileFlag, machineFlags, overwriteFlag, textFlags, textOf, threadsOf, windowFlags } from '../options.js';
import { byteSize, paragraphs, right, significant, table } from '../render.js';
import { byteCount, decimalNumber, given, wholeNumber } from '../values.js';

const group = 'Thresholds (at least one, or --digests):';

export const verifyCommand: Command = defineCommand({
  usage: 'verify [original] [candidate]',
  summary: 'Check thresholds and digests; exit code 3 if a check fails',
  positionals: {
    original: { type: 'string', describe: help('verify', 'original') },
    candidate: { type: 'string', describe: help('verify', 'candidate') },
  },
  options: {
    'max-kl': { type: 'string', describe: help('verify', 'thresholds', 'maxKl'), group },
    'max-nll-increase': { type: 'string', describe: help('verify', 'thresholds', 'maxNllIncrease'), group },
    'min-top1': { type: 'string', describe: help('verify', 'thresholds', 'minTop1'), group },
    'max-size': { type: 'string', describe: help('verify', 'thresholds', 'maxSize'), group },
    digests: { type: 'array', describe: help('verify', 'digests') },
    ...fileFlag,
    junit: { type: 'string', describe: help('verify', 'junit') },
    ...overwriteFlag,
    ...textFlags,
    ...windowFlags,
    threads: machineFlags.threads,
  },
  examples: [
    ['verify model.onnx out/model_int4.onnx --max-kl 0.1 --ids windows.jsonl', 'quality, on token ids'],
    ['verify model.onnx out/model_int2.onnx --max-size 820MB', 'size alone needs no text'],
    ['verify --digests out/model.json', 'checks all files of the set'],
  ],
  async run(values, context) {
    const { original, candidate, digests } = values;
    const thresholds = thresholdsOf(values);
    const isMeasured = Object.keys(thresholds).length > 0;
    if (!isMeasured && digests === undefined)
      fail('bad-usage', 'matquant verify', 'Give at least one threshold, or --digests');
    if (isMeasured && (original === undefined || candidate === undefined))
      fail('bad-usage', 'matquant verify', 'Thresholds need two models: the original and the one to check');
    if (!isMeasured && original !== undefined) fail('bad-usage', 'matquant verify', 'Models need a threshold to check');
    const text = textOf(values);
    const { maxSize, ...measured } = thresholds;
    if (text === undefined && Object.keys(measured).length > 0) {
      fail('bad-usage', '--text', 'Quality thresholds need --text with --tokenizer, or --ids');
    }
    const { verify } = await import('../../evaluate/index.js');
    const result = await verify(
      {
        ...given('original', values.original, String),
        ...given('file', values.file, String),
        ...given('candidate', values.candidate, String),
        ...(values.digests && { digests: values.digests }),
        thresholds,
        ...(text !== undefined && { text }),
        window: wholeNumber('--window', values.window, 2),
        ...given('windows', values.windows, (count) => wholeNumber('--windows', count)),
        ...threadsOf(values),
        ...given('junit', values.junit, String),
        overwrite: values.overwrite,
      },
      context,
    );
    return { data: result, text: render(result), ...(!result.passed && { exitCode: 3 }) };
  },
});

interface ThresholdFlags {
  readonly 'max-kl': string | undefined;
  readonly 'max-nll-increase': string | undefined;
  readonly 'min-top1': string | undefined;
  readonly 'max-size': string | undefined;
}

function thresholdsOf(flags: ThresholdFlags): Thresholds {
  const thresholds = {
    ...given('maxKl', flags['max-kl'], (text) => decimalNumber('--max-kl', text)),
    ...given('maxNllIncrease', flags['max-nll-increase'], (text) => decimalNumber('--max-nll-increase', text)),
    ...given('minTop1', flags['min-top1'], (text) => decimalNumber('--min-top1', text)),
    ...given('maxSize', flags['max-size'], (text) => byteCount('--max-size', text)),
  };
  return thresholds;
}

function render({ passed, checks, digests }: VerifyResult): string {
  const digested = digests && renderDigests(digests);
  if (checks.length === 0) return digested ?? '';
  return paragraphs(renderChecks(checks), digested ?? '', passed ? 'All thresholds hold.' : 'A threshold is missed.');
}

function renderDigests(digests: NonNullable<VerifyResult['digests']>): string {
  const wrong = digests.filter(({ problem }) => problem !== undefined);
  const lines = wrong.map(({ at, part, problem }) => `DAMAGED  ${at}: the ${part} ${problem}`);
  const rest = `${digests.length - wrong.length} of ${digests.length} parts have the digests they were written with.`;
  return [...lines, rest].join('\n');
}

function renderChecks(checks: VerifyResult['checks']): string {
  const rows = checks.map((check) => [
    check.passed ? 'pass' : 'MISSED',
    check.name,
    shown(check.name, check.value),
    shown(check.name, check.limit),
  ]);
  const columns = [{ title: '' }, { title: 'check' }, right('value'), right('limit')];
  return table(columns, rows);
}

const shown = (name: string, value: number): string => (name === 'size' ? byteSize(value) : significant(value));
