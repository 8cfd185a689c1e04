/** What a user asks for: the recipe, its schema, presets and what each method needs. */
export {
  attentionBitsAt,
  attentionChain,
  type BitsByPrecision,
  chainOf,
  type FrequentIds,
  frequentReads,
  nestsTables,
  tableReads,
} from './floors.js';
export { nameOf } from './lambda-name.js';
export { METHOD_NAMES, METHODS, type MethodName, type MethodRow, type Solving, takesStatistics } from './methods.js';
export { PRESETS } from './presets.js';
export {
  type Bits,
  describeRecipe,
  isDefaultLambda,
  lambdaOf,
  type Override,
  parseRecipe,
  presetOf,
  type Recipe,
  type RecipeInput,
  readRecipe,
  recipeJsonSchema,
} from './recipe.js';
export type { TeachingPair } from './recipe-codistill.js';
export type { CodesRecipe, DistillRecipe } from './recipe-distill.js';
export type { FisherRecipe } from './recipe-fisher.js';
export type { PrefixRecipe } from './recipe-prefix.js';
export type { QatRecipe } from './recipe-qat.js';
export type { TrainInput, TrainRecipe } from './recipe-train.js';
export { requireText } from './require-text.js';
export { FACTS } from './runtime-facts.js';
export { factOf, formsOf, type OldestRuntimes, obstacleOf, oldestRuntimes } from './runtimes.js';
export {
  type Fact,
  FORMS,
  type FormName,
  RUNTIMES,
  type RuntimeName,
  TARGET_NAMES,
  TARGETS,
  type TargetName,
} from './targets.js';
