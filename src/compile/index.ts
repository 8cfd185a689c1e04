/** The road from a float export to a set. */
export { type CompileInput, type CompileOptions, type CompileResult, compile } from './compile.js';
export { type InspectInput, type InspectOptions, type InspectResult, inspect } from './inspect.js';
export {
  type LambdaSearchInput,
  type LambdaSearchOptions,
  type LambdaSearchResult,
  searchLambda,
} from './lambda-search.js';
export type { PassPage } from './passes.js';
export { explainPass, listPasses } from './passes.js';
