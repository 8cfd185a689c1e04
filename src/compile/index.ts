/** The road from a float export to a set. */
export type { Budget } from './budget.js';
export type { Probe } from './check-set.js';
export {
  type CompiledPrecision,
  type CompileInput,
  type CompileOptions,
  type CompileResult,
  compile,
  compileFiles,
  withCompileOptions,
} from './compile.js';
export { type Asked, stemOf } from './compile-options.js';
export {
  type InspectedProjection,
  type InspectedSize,
  type InspectInput,
  type InspectOptions,
  type InspectResult,
  inspect,
} from './inspect.js';
export {
  type LambdaRow,
  type LambdaSearchInput,
  type LambdaSearchOptions,
  type LambdaSearchResult,
  searchLambda,
} from './lambda-search.js';
export { type Job, open, reopen } from './open.js';
export type { ProjectionReport } from './projection-report.js';
export { type LastStage, runStages } from './run-stages.js';
