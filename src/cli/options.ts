/** Options that several verbs share, and how their values become options of the pipeline. */
import { fail } from '../diagnostics.js';
import { defaultOf, describeOption as help } from '../options/index.js';
import type { TextInput, TextOptions } from '../text/index.js';
import type { DefaultedFlag, Flag, ListFlag, OptionSpec, Values } from './command.js';
import { byteCount, given, wholeNumber } from './values.js';

type TextFlags = {
  readonly text: ListFlag;
  readonly tokenizer: Flag;
  readonly ids: Flag;
  readonly 'jsonl-field': DefaultedFlag;
  readonly bos: DefaultedFlag;
};

type MachineFlags = {
  readonly threads: Flag;
  readonly memory: DefaultedFlag;
};

/** Where text comes from: token ids, or text and the tokenizer that belongs to the model. */
export const textFlags: TextFlags = {
  text: { type: 'array', describe: `${helpOfText('files')}; repeatable`, group: 'Text:' },
  tokenizer: { type: 'string', describe: helpOfText('tokenizer'), group: 'Text:' },
  ids: { type: 'string', describe: helpOfText('ids'), group: 'Text:' },
  'jsonl-field': {
    type: 'string',
    default: defaultOf('compile', 'text', 'jsonlField'),
    describe: helpOfText('jsonlField'),
    group: 'Text:',
  },
  bos: { type: 'string', default: defaultOf('compile', 'text', 'bos'), describe: helpOfText('bos'), group: 'Text:' },
};

/** Which graph of a folder or repository is meant. */
export const fileFlag: { readonly file: Flag } = { file: { type: 'string', describe: help('compile', 'file') } };

/** How text is cut for scoring. */
export const windowFlags: { readonly window: DefaultedFlag; readonly windows: Flag } = {
  window: {
    type: 'string',
    default: defaultOf('evaluate', 'window'),
    describe: help('evaluate', 'window'),
    group: 'Text:',
  },
  windows: { type: 'string', describe: help('evaluate', 'windows'), group: 'Text:' },
};

export const machineFlags: MachineFlags = {
  threads: { type: 'string', describe: help('compile', 'threads'), group: 'Machine:' },
  memory: {
    type: 'string',
    default: `${Number(defaultOf('compile', 'memoryBytes')) / 2 ** 30}GiB`,
    describe: help('compile', 'memoryBytes'),
    group: 'Machine:',
  },
};

/** What a run that may be repeated is told beside the machine. */
export const runFlags: { readonly seed: DefaultedFlag; readonly work: Flag } = {
  seed: { type: 'string', default: defaultOf('compile', 'seed'), describe: help('compile', 'seed'), group: 'Machine:' },
  work: { type: 'string', describe: help('compile', 'work'), group: 'Machine:' },
};

/** What lets a verb replace files of others. */
export const overwriteFlag: { readonly overwrite: OptionSpec & { readonly type: 'boolean' } } = {
  overwrite: { type: 'boolean', describe: help('compile', 'overwrite') },
};

/** Statistics of earlier captures. */
export const statisticsFlag: { readonly statistics: ListFlag } = {
  statistics: {
    type: 'array',
    describe: `${help('compile', 'statistics')} (see matquant capture)`,
    group: 'Text:',
  },
};

/** As `textOf`, for verbs that take a set, which has no tokenizer beside it. */
export function textWithTokenizer(values: Values<TextFlags>): TextOptions | undefined {
  const text = textOf(values);
  if (text === undefined || 'ids' in text) return text;
  if (text.tokenizer === undefined) return fail('bad-usage', '--tokenizer', '--text needs the tokenizer of the model');
  return text as TextOptions;
}

/** The text a command line names, if any; the tokenizer may be the model's own. */
export function textOf(values: Values<TextFlags>): TextInput | undefined {
  const { text, ids, tokenizer } = values;
  if (text === undefined && ids === undefined) {
    if (tokenizer !== undefined) fail('bad-usage', '--tokenizer', '--tokenizer has no effect without --text');
    return undefined;
  }
  if (text !== undefined && ids !== undefined) fail('bad-usage', '--ids', 'Give --text or --ids, not both');
  if (ids !== undefined) return { ids };
  const own = given('tokenizer', tokenizer, String);
  return { files: text ?? [], ...own, jsonlField: values['jsonl-field'], bos: bosValue(values.bos) };
}

/** How texts begin, from its flag. */
export const bosValue = (value: string): 'auto' | 'none' | number =>
  value === 'auto' || value === 'none' ? value : wholeNumber('--bos', value, 0);

export const threadsOf = ({ threads }: { readonly threads: string | undefined }): { readonly threads?: number } =>
  given('threads', threads, (text) => wholeNumber('--threads', text));

export function machineOf(values: Values<MachineFlags>): { readonly threads?: number; readonly memoryBytes: number } {
  return { ...threadsOf(values), memoryBytes: byteCount('--memory', values.memory) };
}

/** The help of a field of the text. */
function helpOfText(field: string): string {
  return help('compile', 'text', field);
}
