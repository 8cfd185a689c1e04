/** Options that several verbs share, and how their values become options of the pipeline. */
import { availableParallelism } from 'node:os';
import { fail } from '../diagnostics.js';
import type { TextOptions } from '../pipeline/text-options.js';
import type { DefaultedFlag, Flag, ListFlag, OptionSpec, Values } from './command.js';
import { byteCount, wholeNumber } from './values.js';

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
  text: { type: 'array', describe: 'Text file, or .jsonl with one document a line; repeatable', group: 'Text:' },
  tokenizer: { type: 'string', describe: 'tokenizer.json of the model', group: 'Text:' },
  ids: { type: 'string', describe: 'Instead of text: a file with one JSON array of token ids a line', group: 'Text:' },
  'jsonl-field': {
    type: 'string',
    default: 'text',
    describe: 'Field of a .jsonl line that holds the text',
    group: 'Text:',
  },
  bos: { type: 'string', default: 'auto', describe: 'First token of a window: auto, none or an id', group: 'Text:' },
};

export const machineFlags: MachineFlags = {
  threads: {
    type: 'string',
    describe: 'Threads (default: all cores); the result does not depend on it',
    group: 'Machine:',
  },
  memory: { type: 'string', default: '4GiB', describe: 'Memory to plan for, such as 800MB or 4GiB', group: 'Machine:' },
};

/** What a run that may be repeated is told beside the machine. */
export const runFlags: { readonly seed: DefaultedFlag; readonly work: Flag } = {
  seed: { type: 'string', default: '0', describe: 'Seed of everything that is drawn', group: 'Machine:' },
  work: { type: 'string', describe: 'Folder of results that a later run reuses', group: 'Machine:' },
};

/** What lets a verb replace files of others. */
export const overwriteFlag: { readonly overwrite: OptionSpec & { readonly type: 'boolean' } } = {
  overwrite: { type: 'boolean', describe: 'Replace files of the same names that this tool did not write' },
};

/** Statistics of earlier captures. */
export const statisticsFlag: { readonly statistics: ListFlag } = {
  statistics: {
    type: 'array',
    describe: 'Folder of statistics captured before (matquant capture); several are added up',
    group: 'Text:',
  },
};

/** The text a command line names, if any. */
export function textOf(values: Values<TextFlags>): TextOptions | undefined {
  const { text, ids, tokenizer } = values;
  if (text === undefined && ids === undefined) {
    if (tokenizer !== undefined) fail('bad-usage', '--tokenizer', 'A tokenizer is of no use without --text');
    return undefined;
  }
  if (text !== undefined && ids !== undefined) fail('bad-usage', '--ids', 'Give --text or --ids, not both');
  if (ids !== undefined) return { ids };
  if (tokenizer === undefined) return fail('bad-usage', '--tokenizer', '--text needs the tokenizer of the model');
  return { files: text ?? [], tokenizer, jsonlField: values['jsonl-field'], bos: bosValue(values.bos) };
}

/** How texts begin, from its flag. */
export const bosValue = (value: string): 'auto' | 'none' | number =>
  value === 'auto' || value === 'none' ? value : wholeNumber('--bos', value, 0);

export function threadsOf(values: { readonly threads: string | undefined }): number {
  return values.threads === undefined ? availableParallelism() : wholeNumber('--threads', values.threads);
}

export function machineOf(values: Values<MachineFlags>): {
  readonly threads: number;
  readonly memoryBytes: number;
} {
  return { threads: threadsOf(values), memoryBytes: byteCount('--memory', values.memory) };
}
