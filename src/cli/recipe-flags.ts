/** A recipe from the command line: a preset or a file, with single fields replaced by flags. */
import { fail } from '../diagnostics.js';
import { describeOption } from '../options/index.js';
import {
  describeRecipe as help,
  METHODS,
  PRESETS,
  parseRecipe,
  presetOf,
  type Recipe,
  type RecipeInput,
  readRecipe,
  TARGET_NAMES,
} from '../recipe/index.js';
import type { Flag, OptionSpec, Values } from './command.js';
import { bitsOrPairs, byteCount, decimalNumber, given, numberList, wholeNumber } from './values.js';

type RecipeFlags = Readonly<
  Record<
    | 'preset'
    | 'recipe'
    | 'bits'
    | 'block'
    | 'scope'
    | 'attention-bits'
    | 'embedding-bits'
    | 'float-storage'
    | 'compute'
    | 'capture'
    | 'initializer-inputs'
    | 'target'
    | 'target-size'
    | 'tokens'
    | 'window'
    | 'steps'
    | 'prefix'
    | 'minutes'
    | 'token-weights',
    Flag
  >
> & { readonly 'dequantize-source': OptionSpec & { readonly type: 'boolean' } };

export const recipeFlags: RecipeFlags = {
  preset: {
    type: 'string',
    describe: `Preset recipe (default: best with text, data-free without): ${Object.keys(PRESETS).join(', ')}`,
    group: 'Recipe:',
  },
  recipe: { type: 'string', describe: 'Recipe file (JSON); its fields replace those of the preset', group: 'Recipe:' },
  bits: { type: 'string', describe: `${help('bits')}; such as 8,6,4,3,2`, group: 'Recipe:' },
  block: { type: 'string', describe: `${help('block')}: 16, 32, 64, 128, 256 or channel`, group: 'Recipe:' },
  scope: { type: 'string', choices: ['ffn', 'ffn+attention'], describe: help('scope'), group: 'Recipe:' },
  'attention-bits': { type: 'string', describe: `${help('attentionBits')}; such as 2:3,4:4`, group: 'Recipe:' },
  'embedding-bits': {
    type: 'string',
    describe: `${help('embeddingBits')}; keep, 16, 8, 4, 2, or such as 2:3,8:7`,
    group: 'Recipe:',
  },
  'float-storage': {
    type: 'string',
    choices: ['keep', 'float16'],
    describe: help('floatStorage'),
    group: 'Recipe:',
  },
  compute: {
    type: 'string',
    choices: ['keep', 'float32'],
    describe: help('compute'),
    group: 'Recipe:',
  },
  capture: { type: 'string', choices: ['keep', 'float64'], describe: help('capture'), group: 'Recipe:' },
  'initializer-inputs': {
    type: 'string',
    choices: ['keep', 'constant'],
    describe: help('initializerInputs'),
    group: 'Recipe:',
  },
  'dequantize-source': {
    type: 'boolean',
    describe: help('dequantizeSource'),
    group: 'Recipe:',
  },
  target: {
    type: 'string',
    choices: TARGET_NAMES,
    describe: help('target'),
    group: 'Recipe:',
  },
  'target-size': {
    type: 'string',
    describe: `${describeOption('compile', 'targetBytes')}; such as 150MB`,
    group: 'Recipe:',
  },
  tokens: { type: 'string', describe: help('tokens'), group: 'Recipe:' },
  window: { type: 'string', describe: help('window'), group: 'Recipe:' },
  steps: {
    type: 'string',
    describe: 'Steps of distillation per precision, or of training per block',
    group: 'Recipe:',
  },
  prefix: {
    type: 'string',
    choices: ['float', 'quantized'],
    describe: 'Inputs of the solver or of trained blocks: from float or from quantized layers',
    group: 'Recipe:',
  },
  minutes: {
    type: 'string',
    describe: 'Minutes of distillation for each precision, instead of steps',
    group: 'Recipe:',
  },
  'token-weights': {
    type: 'string',
    choices: ['equal', 'fisher'],
    describe: 'Weights of tokens in the statistics: equal, or by Fisher information',
    group: 'Recipe:',
  },
};

/** Flags win over the file, the file over the preset. Without any of them: `best` with text, `data-free` without. */
export function recipeOf(values: Values<RecipeFlags>, hasText: boolean): Recipe {
  const { preset, recipe: file } = values;
  const named = preset ?? (file === undefined ? (hasText ? 'best' : 'data-free') : undefined);
  const start = {
    ...(named !== undefined && presetOf(named, preset === undefined ? 'recipe' : '--preset')),
    ...(file !== undefined && readRecipe(file)),
  };
  const length = trainedBy(start) === 'qat' ? stepsOf(values, start) : lengthOf(values, start);
  return parseRecipe(
    {
      ...start,
      ...fieldsOf(values),
      ...prefixOf(values, start),
      ...fisherOf(values, start),
      ...length,
      ...(trainedBy(start) !== 'qat' && trainOf(values, start)),
    },
    file ?? 'the command line',
  );
}

/** Steps of a recipe that trains weights. */
function stepsOf(values: Values<RecipeFlags>, { qat }: RecipeInput): object {
  const steps = given('steps', values.steps, (text) => wholeNumber('--steps', text));
  return Object.keys(steps).length === 0 ? {} : { qat: { ...qat, ...steps } };
}

/** The field by which the method of a recipe trains. A recipe file may name a method that there is not. */
const trainedBy = ({ method }: RecipeInput): 'train' | 'qat' | undefined =>
  method !== undefined && Object.hasOwn(METHODS, method) ? METHODS[method].trains : undefined;

const trains = (start: RecipeInput): boolean => start.train !== undefined || trainedBy(start) === 'train';

/** What feeds the solver, where no blocks are trained. */
function prefixOf({ prefix }: Values<RecipeFlags>, start: RecipeInput): object {
  if (prefix === undefined || trains(start)) return {};
  return { prefix: prefix === 'quantized' ? (start.prefix ?? {}) : undefined };
}

/** How tokens weigh in the statistics. */
function fisherOf({ 'token-weights': weights }: Values<RecipeFlags>, start: RecipeInput): object {
  if (weights === undefined) return {};
  return { fisher: weights === 'fisher' ? (start.fisher ?? {}) : undefined };
}

/** How blocks are trained, where the recipe asks for it. */
function trainOf(values: Values<RecipeFlags>, start: RecipeInput): object {
  const fields = {
    ...(start.distill === undefined && given('steps', values.steps, (text) => wholeNumber('--steps', text))),
    ...(trains(start) && given('prefix', values.prefix, String)),
  };
  if (Object.keys(fields).length === 0 || !trains(start)) return {};
  return { train: { ...start.train, ...fields } };
}

/** How long distillation takes, where the recipe asks for it. */
function lengthOf(values: Values<RecipeFlags>, start: RecipeInput): object {
  const { distill } = start;
  if (distill === undefined && values.minutes === undefined && trains(start)) return {};
  const length = {
    ...given('steps', values.steps, (text) => wholeNumber('--steps', text)),
    ...given('minutes', values.minutes, (text) => decimalNumber('--minutes', text)),
  };
  const [flag] = Object.keys(length);
  if (flag === undefined) return {};
  if (distill === undefined)
    return fail('bad-usage', `--${flag}`, 'The recipe does not distil; --preset best+ and deploy+ do');
  return { distill: { ...distill, ...length } };
}

/** The fields that flags name. */
function fieldsOf(values: Values<RecipeFlags>): object {
  const block = (text: string): string | number => (text === 'channel' ? text : wholeNumber('--block', text));
  return {
    ...given('bits', values.bits, (text) => numberList('--bits', text)),
    ...given('block', values.block, block),
    ...given('scope', values.scope, String),
    ...given('attentionBits', values['attention-bits'], (text) => bitsOrPairs('--attention-bits', text)),
    ...given('embeddingBits', values['embedding-bits'], (text) => bitsOrPairs('--embedding-bits', text)),
    ...given('floatStorage', values['float-storage'], String),
    ...given('compute', values.compute, String),
    ...given('capture', values.capture, String),
    ...given('initializerInputs', values['initializer-inputs'], String),
    ...(values['dequantize-source'] && { dequantizeSource: true }),
    ...given('target', values.target, String),
    ...given('tokens', values.tokens, (text) => wholeNumber('--tokens', text)),
    ...given('window', values.window, (text) => wholeNumber('--window', text)),
  };
}

/** The size that `--target-size` asks for, as an option of the pipeline. */
export const targetOf = (values: Values<RecipeFlags>): { readonly targetBytes?: number } =>
  given('targetBytes', values['target-size'], (text) => byteCount('--target-size', text));
