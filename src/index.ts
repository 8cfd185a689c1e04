/** The package's public face: the verbs of the command line as functions, with the types they take and give. */

export {
  type CompileInput,
  type CompileOptions,
  type CompileResult,
  compile,
  type InspectInput,
  type InspectOptions,
  type InspectResult,
  inspect,
  type LambdaSearchInput,
  type LambdaSearchOptions,
  type LambdaSearchResult,
  searchLambda,
} from './compile/index.js';
export { CompilerError, type Diagnostic, ERRORS, type ErrorCode, REFUSALS, type RefusalCode } from './diagnostics.js';
export {
  budgetJsonSchema,
  type CompareInput,
  type CompareOptions,
  type CompareResult,
  compare,
  type EvalInput,
  type EvalOptions,
  type EvalResult,
  type EvaluateTasksInput,
  type EvaluateTasksOptions,
  evaluate,
  evaluateTasks,
  type TaskScore,
  type VerifyInput,
  type VerifyOptions,
  type VerifyResult,
  verify,
} from './evaluate/index.js';
export { type Context, type Log, type Progress, type ProgressUpdate, silentContext } from './log.js';
export {
  type MixGoal,
  type MixInput,
  type MixOptions,
  type MixResult,
  mix,
  type SweepInput,
  type SweepOptions,
  type SweepPoint,
  type SweepResult,
  sweep,
} from './mix/index.js';
export { PRESETS, parseRecipe, type Recipe, type RecipeInput, recipeJsonSchema } from './recipe/index.js';
export { type ReportOptions, type ReportResult, report } from './report/index.js';
export {
  type AppendOptions,
  type AppendResult,
  append,
  type SliceInput,
  type SliceOptions,
  type SliceResult,
  slice,
} from './set/index.js';
export {
  type CaptureStatisticsInput,
  type CaptureStatisticsOptions,
  type CaptureStatisticsResult,
  captureStatistics,
} from './solve/index.js';
export type { TextInput, TextOptions } from './text/index.js';
