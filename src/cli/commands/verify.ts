import { fail } from '../../diagnostics.js';
import { describeOption as help } from '../../pipeline/options/check.js';
import type { Thresholds, VerifyResult } from '../../pipeline/verify.js';
import { type Command, defineCommand } from '../command.js';
import { machineFlags, textFlags, textOf, threadsOf, windowFlags } from '../options.js';
import { byteSize, right, significant, table } from '../render.js';
import { byteCount, decimalNumber, given, wholeNumber } from '../values.js';

const group = 'Thresholds (at least one):';

export const verifyCommand: Command = defineCommand({
  usage: 'verify <original> <candidate>',
  summary: 'Check thresholds: exit code 0 when all hold, 3 when one is missed',
  positionals: {
    original: { type: 'string', describe: help('verify', 'original'), required: true },
    candidate: { type: 'string', describe: help('verify', 'candidate'), required: true },
  },
  options: {
    'max-kl': { type: 'string', describe: help('verify', 'thresholds', 'maxKl'), group },
    'max-nll-increase': { type: 'string', describe: help('verify', 'thresholds', 'maxNllIncrease'), group },
    'min-top1': { type: 'string', describe: help('verify', 'thresholds', 'minTop1'), group },
    'max-size': { type: 'string', describe: help('verify', 'thresholds', 'maxSize'), group },
    junit: { type: 'string', describe: help('verify', 'junit') },
    ...textFlags,
    ...windowFlags,
    threads: machineFlags.threads,
  },
  examples: [
    ['verify model.onnx out/model_int4.onnx --max-kl 0.1 --ids windows.jsonl', 'quality, on token ids'],
    ['verify model.onnx out/model_int2.onnx --max-size 820MB', 'size alone needs no text'],
  ],
  async run(values, context) {
    const thresholds = thresholdsOf(values);
    const text = textOf(values);
    const { maxSize, ...measured } = thresholds;
    if (text === undefined && Object.keys(measured).length > 0) {
      fail('bad-usage', '--text', 'Quality thresholds need --text with --tokenizer, or --ids');
    }
    const { verify } = await import('../../pipeline/verify.js');
    const result = await verify(
      {
        original: values.original,
        candidate: values.candidate,
        thresholds,
        ...(text !== undefined && { text }),
        window: wholeNumber('--window', values.window, 2),
        ...given('windows', values.windows, (count) => wholeNumber('--windows', count)),
        ...threadsOf(values),
        ...given('junit', values.junit, String),
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
  if (Object.keys(thresholds).length === 0) fail('bad-usage', 'matquant verify', 'Give at least one threshold');
  return thresholds;
}

function render({ passed, checks }: VerifyResult): string {
  const rows = checks.map((check) => [
    check.passed ? 'pass' : 'MISSED',
    check.name,
    shown(check.name, check.value),
    shown(check.name, check.limit),
  ]);
  const columns = [{ title: '' }, { title: 'check' }, right('value'), right('limit')];
  return `${table(columns, rows)}\n\n${passed ? 'All thresholds hold.' : 'A threshold is missed.'}`;
}

const shown = (name: string, value: number): string => (name === 'size' ? byteSize(value) : significant(value));
