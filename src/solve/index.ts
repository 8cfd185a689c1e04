/** From statistics to codes and tables of all precisions. */
export {
  type CaptureStatisticsInput,
  type CaptureStatisticsOptions,
  type CaptureStatisticsResult,
  captureStatistics,
} from './capture-statistics.js';
export {
  type Captured,
  captureRandom,
  captureShard,
  RANDOM_FOLDER,
  shardFolder,
} from './capture-windows.js';
export { type Captures, capturesOf } from './captures.js';
export { clipGroup } from './kernel/clip.js';
export { type HeldCodes, type Nested, type PrecisionError, parentBits, type Solved } from './kernel/options.js';
export { type Measured, type MeasureOptions, measure } from './measure.js';
export { captureMemory, groupMemory, peakMemory, requireMemory, tableMemory } from './peak-memory.js';
export type { ProbeText, Scored } from './probe-text.js';
export { placeTables, type SolvedTables, shrinkFloats, solveTables } from './rest.js';
export { solveMeasured } from './solve-measured.js';
export type { NestedTable } from './solve-nested-tables.js';
export { solveOptions } from './solve-options.js';
export { prefixOf, solveBehindPrefix } from './solve-prefix.js';
export {
  gramOf,
  groupsOf,
  itemsOf,
  type SolvedProjection,
  type Solver,
  solveProjections,
  storedWeight,
} from './solve-projections.js';
export type { SolvedTable, TableReport } from './solve-tables.js';
export { SolvedFiles } from './solved-files.js';
export type { TextEvidence } from './text-evidence.js';
export { orderOfText, type TokenOrder } from './token-order.js';
