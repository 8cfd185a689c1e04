/** Flags of the verbs that compile, at once or in units. */
import type { CompileInput } from '../compile/index.js';
import type { Context } from '../log.js';
import { defaultOf, describeOption as help } from '../options/index.js';
import type { DefaultedFlag, Flag, OptionSpec, Values } from './command.js';
import {
  fileFlag,
  machineFlags,
  machineOf,
  overwriteFlag,
  runFlags,
  statisticsFlag,
  textFlags,
  textOf,
} from './options.js';
import { recipeFlags, recipeOf, targetOf } from './recipe-flags.js';
import { given, wholeNumber } from './values.js';

type Switch = OptionSpec & { readonly type: 'boolean' };

type CompileFlags = typeof fileFlag & {
  readonly name: Flag;
  readonly standalone: Switch;
  readonly strict: Switch;
  readonly shards: DefaultedFlag;
} & typeof overwriteFlag &
  typeof recipeFlags &
  typeof textFlags &
  typeof statisticsFlag &
  typeof machineFlags &
  typeof runFlags;

/** What a command line says of a model, its text, its recipe and the machine. */
export const compileFlags: CompileFlags = {
  ...fileFlag,
  name: { type: 'string', describe: help('compile', 'name') },
  standalone: { type: 'boolean', describe: help('compile', 'standalone') },
  strict: { type: 'boolean', describe: help('compile', 'strict') },
  ...overwriteFlag,
  ...recipeFlags,
  ...textFlags,
  ...statisticsFlag,
  shards: {
    type: 'string',
    default: defaultOf('compile', 'shards'),
    describe: help('compile', 'shards'),
    group: 'Text:',
  },
  ...machineFlags,
  ...runFlags,
};

/** The options of a compilation, but for its output. */
export function inputOf(values: Values<CompileFlags> & { readonly model: string }, context: Context): CompileInput {
  const text = textOf(values);
  const { statistics } = values;
  const isCalibrated = text !== undefined || statistics !== undefined;
  const recipe = recipeOf(values, isCalibrated);
  if (!isCalibrated && values.preset === undefined && values.recipe === undefined)
    context.log.warn(
      'No text was given, so the preset is data-free; --text makes int3 and int2 much better (--text c4 downloads some).',
    );
  return {
    model: values.model,
    ...given('file', values.file, String),
    ...given('name', values.name, String),
    recipe,
    ...targetOf(values),
    ...(text !== undefined && { text }),
    ...(statistics !== undefined && { statistics }),
    ...machineOf(values),
    seed: wholeNumber('--seed', values.seed, 0),
    shards: wholeNumber('--shards', values.shards),
    standalone: values.standalone,
    strict: values.strict,
    overwrite: values.overwrite,
    ...given('work', values.work, String),
  };
}
