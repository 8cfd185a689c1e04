/** The float model that is compiled: opened once, weights read by range. */
export { cloneSource, inFloat32 } from './clone-source.js';

export { type HubEnvironment, hubEnvironment, type Variables } from './environment.js';
export {
  embeddingOf,
  feedProblems,
  type InspectedInput,
  inspectInputs,
  requireFeedable,
  requireText,
  takesVectors,
} from './feedable.js';
export { requireFinite } from './finite-weights.js';
export { partOf } from './folder.js';
export { isHubName } from './hub.js';
export { isHubText } from './hub-text.js';
export { defaultOutput, openInput, warnOfLicence } from './input.js';
export { inputFiles, watchModel, withInputs } from './inputs.js';
export type { ModelFolder } from './model-folder.js';
export { type AskedInputs, type ResolvedInputs, type TextNeed, withResolved } from './resolve.js';
export {
  type Chosen,
  openSource,
  reopenSource,
  requireComplete,
  requireFfn,
  type Source,
  vocabularyOf,
  wasQuantized,
} from './source.js';
export {
  frequentRows,
  isTokenTableId,
  plannedTables,
  quantizesTables,
  storedRows,
  type TableBits,
  type TokenTable,
  tableBits,
  tableBlock,
  tokenTablesOf,
} from './token-tables.js';
