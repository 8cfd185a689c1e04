/** Compilations in units: planned once, run by any number of workers on a shared folder or an object store, merged into the set that `compile` writes. */
export { type EmitInput, type EmitResult, emitPlan, type JobEngine } from './emit/emit.js';
export type { UnitFailure } from './failures.js';
export { type MergePlanInput, mergePlan } from './merge.js';
export type { UnitMachine } from './open-plan.js';
export { type PlanInput, type PlanResult, plan } from './plan.js';
export { readPlan } from './plan-file.js';
export type { Plan, PlannedFile, PlannedOptions, PlanUnit, UnitCost, UnitKind, UnitSubject } from './plan-types.js';
export type { ResultFile, UnitResult } from './results.js';
export { runUnit } from './run-unit.js';
export {
  type FailedUnit,
  type KindStatus,
  type LostUnit,
  type PlanStatus,
  planStatus,
  type RunningUnit,
  type UnitCounts,
} from './status.js';
export { type WorkInput, type WorkResult, work } from './worker.js';
