/** The package's public face: the verbs of the command line as functions, with the types they take and give. */
export { CompilerError, type Diagnostic, ERRORS, type ErrorCode, REFUSALS, type RefusalCode } from './diagnostics.js';
export { type Context, type Log, type Progress, type ProgressUpdate, silentContext } from './log.js';
export { type CompileInput, type CompileOptions, type CompileResult, compile } from './pipeline/compile.js';
export { type EvalInput, type EvalOptions, type EvalResult, evaluate } from './pipeline/evaluate.js';
export {
  type EvaluateTasksInput,
  type EvaluateTasksOptions,
  evaluateTasks,
  type TaskScore,
} from './pipeline/evaluate-tasks.js';
export { type InspectInput, type InspectOptions, type InspectResult, inspect } from './pipeline/inspect.js';
export {
  type LambdaSearchInput,
  type LambdaSearchOptions,
  type LambdaSearchResult,
  searchLambda,
} from './pipeline/lambda-search.js';
export { type MixGoal, type MixInput, type MixOptions, type MixResult, mix } from './pipeline/mix/mix.js';
export { type SweepInput, type SweepOptions, type SweepPoint, type SweepResult, sweep } from './pipeline/mix/sweep.js';
export { PRESETS } from './pipeline/recipe/presets.js';
export { parseRecipe, type Recipe, type RecipeInput, recipeJsonSchema } from './pipeline/recipe/recipe.js';
export { type ReportOptions, type ReportResult, report } from './pipeline/reporting/report.js';
export { type AppendOptions, type AppendResult, append } from './pipeline/set/append.js';
export { type SliceInput, type SliceOptions, type SliceResult, slice } from './pipeline/set/slice.js';
export {
  type CaptureStatisticsInput,
  type CaptureStatisticsOptions,
  type CaptureStatisticsResult,
  captureStatistics,
} from './pipeline/solve/capture-statistics.js';
export type { TextInput, TextOptions } from './pipeline/text-options.js';
export { type VerifyInput, type VerifyOptions, type VerifyResult, verify } from './pipeline/verify.js';
