/** Which units a worker takes: all, some by their ids, or every so many-th of each kind. */
import { fail } from '../diagnostics.js';
import type { Plan, PlanUnit } from './plan-types.js';

/** The units that workers run: all but the set, which `mergePlan` writes. */
export const unitsToRun = ({ units }: Pick<Plan, 'units'>): readonly PlanUnit[] =>
  units.filter(({ kind }) => kind !== 'emit');

/** The unit of an id. Error code `plan` for one that `units` does not have. */
export const unitOf = (units: readonly PlanUnit[], id: string, folder: string): PlanUnit =>
  units.find((unit) => unit.id === id) ?? fail('plan', folder, `The plan has no unit ${id} that a worker runs`);

const SHARE = /^(\d{1,6})\/(\d{1,6})$/;

/**
 * The units of `asked`, ids joined by commas or a share: `I/N` is the I-th of N workers, counted from 0 or from 1, and takes every N-th
 * unit of each kind. Fails with `bad-usage` for a share that does not exist, and with `plan` for an id that does not.
 */
export function shareOf(units: readonly PlanUnit[], asked: string | undefined, folder: string): readonly PlanUnit[] {
  if (asked === undefined) return units;
  const [, at, of] = SHARE.exec(asked) ?? [];
  if (at === undefined || of === undefined)
    return [...new Set(asked.split(','))].map((id) => unitOf(units, id, folder));
  const [index, count] = [Number(at), Number(of)];
  if (count === 0 || index > count)
    fail('bad-usage', 'unit', `${asked} is not one of the workers 1/N to N/N or 0/N to N-1/N`);
  const seen = new Map<string, number>();
  return units.filter(({ kind }) => {
    const place = seen.get(kind) ?? 0;
    seen.set(kind, place + 1);
    return place % count === index % count;
  });
}
