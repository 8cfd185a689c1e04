/** Whether two sets are the same. */
export { findingOf, type SameAs, type SameResult, sameResult } from './same-result.js';
export type { PrecisionChange, SetDifference } from './same-set.js';
