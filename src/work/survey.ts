/** How far the units of a plan are, as one look at it tells. */
import { MOST_FAILURES, type UnitFailure } from './failures.js';
import type { PlanUnit } from './plan-types.js';
import type { UnitResult } from './results.js';
import type { PlanLook } from './store/plan-store.js';

/**
 * `done`: its results are there and whole. `failed`: three times, and not tried again. `blocked`: it needs one that failed. `ready`: what
 * it needs is done. `waiting`: for what it needs.
 */
export type UnitState = 'done' | 'failed' | 'blocked' | 'ready' | 'waiting';

/** Whether a worker may still run it. */
export const isOpen = (state: UnitState): boolean => state === 'ready' || state === 'waiting';

/** One unit of a survey. */
export interface UnitSurvey {
  readonly unit: PlanUnit;
  readonly state: UnitState;
  readonly result: UnitResult | undefined;
  readonly failures: readonly UnitFailure[];
  /** The failed unit that it waits for. */
  readonly blockedBy: string | undefined;
}

/** Looks at every unit; each comes behind those it needs, so one pass is enough. */
export function surveyOf(units: readonly PlanUnit[], look: PlanLook): readonly UnitSurvey[] {
  const known = new Map<string, UnitSurvey>();
  for (const unit of units) {
    const needs = unit.needs.flatMap((id) => known.get(id) ?? []);
    known.set(unit.id, surveyed(unit, needs, look));
  }
  return [...known.values()];
}

function surveyed(unit: PlanUnit, needs: readonly UnitSurvey[], look: PlanLook): UnitSurvey {
  const result = look.result(unit.id);
  if (result !== undefined) return { unit, state: 'done', result, failures: [], blockedBy: undefined };
  const failures = look.failures(unit.id);
  const one = { unit, result, failures, blockedBy: undefined };
  if (failures.length >= MOST_FAILURES) return { ...one, state: 'failed' };
  const blocking = needs.find(({ state }) => state === 'failed' || state === 'blocked');
  if (blocking !== undefined) return { ...one, state: 'blocked', blockedBy: blocking.blockedBy ?? blocking.unit.id };
  return { ...one, state: needs.every(({ state }) => state === 'done') ? 'ready' : 'waiting' };
}
