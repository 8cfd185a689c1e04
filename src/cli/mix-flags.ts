/** Flags of the verbs that search for mixes. */
import { fail } from '../diagnostics.js';
import type { MixInput } from '../mix/index.js';
import { choicesOf, defaultOf, describeOption as help } from '../options/index.js';
import type { DefaultedFlag, Flag, ListFlag, OptionSpec, Values } from './command.js';
import { machineFlags, machineOf, textFlags, textWithTokenizer, windowFlags } from './options.js';
import { given, numberList, wholeNumber } from './values.js';

type SearchFlags = {
  readonly per: DefaultedFlag;
  readonly method: Flag;
  readonly bits: Flag;
  readonly fix: ListFlag;
  readonly evaluations: DefaultedFlag;
  readonly sensitivity: ListFlag;
  readonly seed: DefaultedFlag;
  readonly original: Flag;
  readonly window: DefaultedFlag;
  readonly tokens: DefaultedFlag;
} & typeof textFlags &
  typeof machineFlags;

const SEARCH = 'Search:';

export const searchFlags: SearchFlags = {
  per: {
    type: 'string',
    choices: choicesOf('mix', 'search', 'per'),
    default: defaultOf('mix', 'search', 'per'),
    describe: help('mix', 'search', 'per'),
    group: SEARCH,
  },
  method: {
    type: 'string',
    choices: choicesOf('mix', 'search', 'method'),
    describe: help('mix', 'search', 'method'),
    group: SEARCH,
  },
  bits: {
    type: 'string',
    describe: help('mix', 'search', 'bits'),
    group: SEARCH,
  },
  fix: {
    type: 'array',
    describe: 'PATTERN=BITS: projections whose id matches keep these bits; repeatable',
    group: SEARCH,
  },
  evaluations: {
    type: 'string',
    default: defaultOf('mix', 'search', 'evaluations'),
    describe: help('mix', 'search', 'evaluations'),
    group: SEARCH,
  },
  sensitivity: {
    type: 'array',
    describe: `${help('mix', 'search', 'sensitivities')}; repeatable`,
    group: SEARCH,
  },
  seed: {
    type: 'string',
    default: defaultOf('mix', 'search', 'seed'),
    describe: help('mix', 'search', 'seed'),
    group: SEARCH,
  },
  ...textFlags,
  window: windowFlags.window,
  tokens: {
    type: 'string',
    default: defaultOf('mix', 'search', 'measure', 'tokens'),
    describe: help('mix', 'search', 'measure', 'tokens'),
    group: 'Text:',
  },
  original: {
    type: 'string',
    describe: help('mix', 'search', 'measure', 'original'),
    group: 'Text:',
  },
  ...machineFlags,
};

/** The search that a command line asks for. */
export function searchOf(values: Values<SearchFlags>): NonNullable<MixInput['search']> {
  const text = textWithTokenizer(values);
  if (text === undefined && values.original !== undefined)
    fail('bad-usage', '--original', '--original has no effect without --text or --ids');
  const measure = text && {
    text,
    window: wholeNumber('--window', values.window, 2),
    tokens: wholeNumber('--tokens', values.tokens, 2),
    ...given('original', values.original, String),
    ...machineOf(values),
  };
  return {
    per: values.per as 'layer' | 'projection',
    ...(values.method !== undefined && {
      method: values.method as NonNullable<NonNullable<MixInput['search']>['method']>,
    }),
    ...given('bits', values.bits, (list) => numberList('--bits', list)),
    fixed: (values.fix ?? []).map(fixedOf),
    evaluations: wholeNumber('--evaluations', values.evaluations),
    sensitivities: values.sensitivity ?? [],
    seed: wholeNumber('--seed', values.seed, 0),
    ...(measure && { measure }),
  };
}

function fixedOf(text: string): { readonly match: string; readonly bits: number } {
  const at = text.lastIndexOf('=');
  if (at < 1) fail('bad-usage', '--fix', `${text} is not of the form PATTERN=BITS`);
  return { match: text.slice(0, at), bits: wholeNumber('--fix', text.slice(at + 1)) };
}

/** Choices that name a shape of the paper. */
export const shapeFlag: OptionSpec & Flag = {
  type: 'string',
  choices: choicesOf('mix', 'search', 'shape'),
  describe: help('mix', 'search', 'shape'),
  group: SEARCH,
};
