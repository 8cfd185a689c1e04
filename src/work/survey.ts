/** How far the units of a plan are, as its folder says at this moment. */
import { failuresOf, MOST_FAILURES, type UnitFailure } from './failures.js';
import type { PlanUnit } from './plan-types.js';
import type { Results, UnitResult } from './results.js';

/**
 * `done`: its results are there and whole. `failed`: three times, and not tried again. `blocked`: it needs one that failed. `ready`: what
 * it needs is done. `waiting`: for what it needs.
 */
export type Standing = 'done' | 'failed' | 'blocked' | 'ready' | 'waiting';

/** One unit of a survey. */
export interface Surveyed {
  readonly unit: PlanUnit;
  readonly standing: Standing;
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
): readonly Surveyed[] {
  const known = new Map<string, Surveyed>();
  for (const unit of units) {
    const result = results.find(unit.id);
    const failures = result === undefined ? failuresOf(folder, unit.id) : [];
    const needs = unit.needs.flatMap((id) => known.get(id) ?? []);
    const blocking = needs.find(({ standing }) => standing === 'failed' || standing === 'blocked');
    const blockedBy = blocking?.blockedBy ?? blocking?.unit.id;
    const isReady = needs.every(({ standing }) => standing === 'done');
    const standing =
      result !== undefined
        ? 'done'
        : failures.length >= MOST_FAILURES
          ? 'failed'
          : blockedBy !== undefined
            ? 'blocked'
            : isReady
              ? 'ready'
              : 'waiting';
    known.set(unit.id, { unit, standing, result, failures, blockedBy });
  }
  return [...known.values()];
}
