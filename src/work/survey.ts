/** How far the units of a plan are, as its folder says at this moment. */
import { failuresOf, MOST_FAILURES, type UnitFailure } from './failures.js';
import type { PlanUnit } from './plan-types.js';
import type { Results, UnitResult } from './results.js';

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
export function surveyOf(
  folder: string,
  units: readonly PlanUnit[],
  results: Pick<Results, 'find'>,
): readonly UnitSurvey[] {
  const known = new Map<string, UnitSurvey>();
  for (const unit of units) {
    const needs = unit.needs.flatMap((id) => known.get(id) ?? []);
    known.set(unit.id, surveyed(folder, unit, needs, results));
  }
  return [...known.values()];
}

function surveyed(
  folder: string,
  unit: PlanUnit,
  needs: readonly UnitSurvey[],
  results: Pick<Results, 'find'>,
): UnitSurvey {
  const result = results.find(unit.id);
  if (result !== undefined) return { unit, state: 'done', result, failures: [], blockedBy: undefined };
  const failures = failuresOf(folder, unit.id);
  const one = { unit, result, failures, blockedBy: undefined };
  if (failures.length >= MOST_FAILURES) return { ...one, state: 'failed' };
  const blocking = needs.find(({ state }) => state === 'failed' || state === 'blocked');
  if (blocking !== undefined) return { ...one, state: 'blocked', blockedBy: blocking.blockedBy ?? blocking.unit.id };
  return { ...one, state: needs.every(({ state }) => state === 'done') ? 'ready' : 'waiting' };
}
