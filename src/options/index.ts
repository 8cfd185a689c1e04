/** Options of the public functions: one schema each, with types, ranges, defaults and help. */
export {
  calibratedRecipeOf,
  checkOptions,
  choicesOf,
  defaultOf,
  describeOption,
  type Input,
  type RecipeTaking,
  recipeOf,
} from './check.js';
export type { Format, MeterRequest } from './fields.js';
