/** The package's public face: the verbs of the command line as functions, with the types they take and give. */
export { CompilerError, type Diagnostic, ERRORS, type ErrorCode, REFUSALS, type RefusalCode } from './diagnostics.js';
export { type Context, type Log, type Progress, type ProgressUpdate, silentContext } from './log.js';
export { type CompileOptions, type CompileResult, compile } from './pipeline/compile.js';
export { type EvalOptions, type EvalResult, evaluate } from './pipeline/evaluate.js';
export { type EvaluateTasksOptions, evaluateTasks, type TaskScore } from './pipeline/evaluate-tasks.js';
export { type InspectOptions, type InspectResult, inspect } from './pipeline/inspect.js';
export { type LambdaSearchOptions, type LambdaSearchResult, searchLambda } from './pipeline/lambda-search.js';
export { type MixGoal, type MixOptions, type MixResult, mix } from './pipeline/mix/mix.js';
export { type SweepOptions, type SweepPoint, type SweepResult, sweep } from './pipeline/mix/sweep.js';
export { PRESETS } from './pipeline/recipe/presets.js';
export { parseRecipe, type Recipe, type RecipeInput, recipeJsonSchema } from './pipeline/recipe/recipe.js';
export { type ReportOptions, type ReportResult, report } from './pipeline/reporting/report.js';
export { type AppendOptions, type AppendResult, append } from './pipeline/set/append.js';
export { type SliceOptions, type SliceResult, slice } from './pipeline/set/slice.js';
export {
  type CaptureStatisticsOptions,
  type CaptureStatisticsResult,
  captureStatistics,
} from './pipeline/solve/capture-statistics.js';
export type { TextOptions } from './pipeline/text-options.js';
export { type VerifyOptions, type VerifyResult, verify } from './pipeline/verify.js';
