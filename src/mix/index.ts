/** Mixed precision: sensitivities, search, and the graph of a mix. */

export { type MixGoal, type MixInput, type MixOptions, type MixResult, mix } from './mix.js';
export { dataBytes } from './mix-goal.js';
export { measuredDamage, readSensitivity, type SensitivityEntry, sensitivityPath } from './sensitivity-file.js';
export { type SweepInput, type SweepOptions, type SweepPoint, type SweepResult, sweep } from './sweep.js';
