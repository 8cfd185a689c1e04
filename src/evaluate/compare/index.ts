/** Base against head. */
export {
  type CompareInput,
  type CompareOptions,
  type CompareResult,
  compare,
  type ModelComparison,
} from './compare.js';
export { type Change, type ChangeVerdict, isSameText, modelVerdict, qualityChanges, type Scored } from './figures.js';
export type { LayerChange } from './layers.js';
export { compareMarkdown, differenceText } from './markdown.js';
