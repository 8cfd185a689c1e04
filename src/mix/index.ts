/** Mixed precision: sensitivities, search, and the graph of a mix. */

export type { BitsTable } from './bits-file.js';
export {
  type FixedBits,
  type MixGoal,
  type MixInput,
  type MixOptions,
  type MixResult,
  type MixSearch,
  mix,
  type SearchReport,
} from './mix.js';
export { dataBytes } from './mix-goal.js';
export type { MeterInput } from './mix-meter.js';
export type { Method } from './mix-search.js';
export type { Granularity } from './mix-units.js';
export type { Shape } from './search/shapes.js';
export { measuredDamage, readSensitivity, type SensitivityEntry, sensitivityPath } from './sensitivity-file.js';
export { type SweepInput, type SweepOptions, type SweepPoint, type SweepResult, sweep } from './sweep.js';
