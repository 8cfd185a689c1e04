/** Public API of the package: the commands of `matquant` as functions, with the types of their options and results. */

export type { TextCounts, TextNeed } from './capture/index.js';
export {
  type Budget,
  type CompiledPrecision,
  type CompileInput,
  type CompileOptions,
  type CompileResult,
  compile,
  type InspectedProjection,
  type InspectedSize,
  type InspectInput,
  type InspectOptions,
  type InspectResult,
  inspect,
  type LambdaRow,
  type LambdaSearchInput,
  type LambdaSearchOptions,
  type LambdaSearchResult,
  type Probe,
  type ProjectionReport,
  searchLambda,
} from './compile/index.js';
export {
  CompilerError,
  type Diagnostic,
  type DiagnosticKind,
  ERRORS,
  type ErrorCode,
  REFUSALS,
  type RefusalCode,
} from './diagnostics.js';
export {
  type CandidateResult,
  type Check,
  type EvalInput,
  type EvalOptions,
  type EvalResult,
  type EvaluateTasksInput,
  type EvaluateTasksOptions,
  evaluate,
  evaluateTasks,
  type Finding,
  type ModelResult,
  type TaskResult,
  type TaskScore,
  type Thresholds,
  type VerifyInput,
  type VerifyOptions,
  type VerifyResult,
  verify,
  type WindowSum,
} from './evaluate/index.js';
export { type Context, type Log, type Progress, type ProgressUpdate, silentContext } from './log.js';
export {
  type BitsTable,
  type FixedBits,
  type Granularity,
  type MeterInput,
  type Method,
  type MixGoal,
  type MixInput,
  type MixOptions,
  type MixResult,
  type MixSearch,
  mix,
  type SearchReport,
  type Shape,
  type SweepInput,
  type SweepOptions,
  type SweepPoint,
  type SweepResult,
  sweep,
} from './mix/index.js';
export type { Input, MeterRequest, RecipeTaking } from './options/index.js';
export type { Precision } from './quant/precision.js';
export {
  type Bits,
  type CodesRecipe,
  type DistillRecipe,
  type MethodName,
  type Override,
  PRESETS,
  type PrefixRecipe,
  parseRecipe,
  type QatRecipe,
  type Recipe,
  type RecipeInput,
  recipeJsonSchema,
  type TeachingPair,
  type TrainInput,
  type TrainRecipe,
} from './recipe/index.js';
export { type ReportOptions, type ReportResult, report } from './report/index.js';
export {
  type AppendOptions,
  type AppendResult,
  append,
  type CompiledDistillation,
  type CompiledProjection,
  type Refusal,
  type SliceInput,
  type SliceOptions,
  type SliceResult,
  slice,
  type WrittenFile,
} from './set/index.js';
export {
  type CaptureStatisticsInput,
  type CaptureStatisticsOptions,
  type CaptureStatisticsResult,
  type CaptureWindowsOptions,
  captureStatistics,
  type MeasureOptions,
  type PrecisionError,
  type Scored,
  type TableReport,
  type TextEvidence,
} from './solve/index.js';
export type { InspectedInput } from './source/index.js';
export type { TextInput, TextOptions } from './text/index.js';
export type { Look } from './train/index.js';
