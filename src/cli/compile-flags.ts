/** Flags of the verbs that compile, at once or in units. */
import type { CompileInput } from '../compile/index.js';
import type { Context } from '../log.js';
import { defaultOf, describeOption as help } from '../options/index.js';
import type { CaptureStatisticsInput } from '../solve/index.js';
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

type CalibrationFlags = typeof fileFlag &
  typeof overwriteFlag &
  typeof recipeFlags &
  typeof textFlags &
  typeof statisticsFlag &
  typeof machineFlags &
  typeof runFlags;

type CompileFlags = CalibrationFlags & {
  readonly name: Flag;
  readonly standalone: Switch;
  readonly strict: Switch;
  readonly shards: DefaultedFlag;
};

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
  const calibration = calibrationOf(values);
  const isCalibrated = calibration.text !== undefined || calibration.statistics !== undefined;
  if (!isCalibrated && values.preset === undefined && values.recipe === undefined)
    context.log.warn(
      'No text was given, so the preset is data-free; --text makes int3 and int2 much better (--text c4 downloads some).',
    );
  return {
    ...calibration,
    ...given('name', values.name, String),
    recipe: recipeOf(values, isCalibrated),
    ...targetOf(values),
    shards: wholeNumber('--shards', values.shards),
    standalone: values.standalone,
    strict: values.strict,
  };
}

/** The model, its text or statistics, and the machine; the recipe is for whoever knows whether there has to be text. */
export function calibrationOf(
  values: Values<CalibrationFlags> & { readonly model: string },
): Omit<CaptureStatisticsInput, 'output' | 'recipe'> {
  const text = textOf(values);
  const { statistics } = values;
  return {
    model: values.model,
    ...given('file', values.file, String),
    ...(text !== undefined && { text }),
    ...(statistics !== undefined && { statistics }),
    ...machineOf(values),
    seed: wholeNumber('--seed', values.seed, 0),
    ...given('work', values.work, String),
    overwrite: values.overwrite,
  };
}
