/** Options of the public functions: one schema each, with types, ranges, defaults and help. */
export {
  calibratedRecipeOf,
  checkOptions,
  defaultOf,
  describeOption,
  type Input,
  type RecipeTaking,
  recipeOf,
} from './check.js';
export type { MeterRequest } from './fields.js';
