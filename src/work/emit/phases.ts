/** Units in the order of schedulers that know jobs and their dependencies, but no units. */
import type { PlanUnit } from '../plan-types.js';

/** Units that need nothing but units of earlier phases. */
export type Phase = readonly PlanUnit[];

/** All units that workers run, by how long their chain of needs is. The set itself, `emit`, is written behind them. */
export function phasesOf(units: readonly PlanUnit[]): readonly Phase[] {
  const depths = new Map<string, number>();
  const phases: PlanUnit[][] = [];
  for (const unit of units) {
    if (unit.kind === 'emit') continue;
    const depth = Math.max(-1, ...unit.needs.map((id) => depths.get(id) ?? -1)) + 1;
    depths.set(unit.id, depth);
    phases[depth] = [...(phases[depth] ?? []), unit];
  }
  return phases;
}

/** Units of a phase for each of at most `workers` workers: the longest first, each to whoever has the least to do. Nobody gets none. */
export function shared(phase: Phase, workers: number): readonly (readonly PlanUnit[])[] {
  const loads = Array.from({ length: Math.min(workers, phase.length) }, () => ({
    seconds: 0,
    units: [] as PlanUnit[],
  }));
  for (const unit of phase.toSorted((a, b) => b.cost.seconds - a.cost.seconds)) {
    const least = loads.reduce((best, each) => (each.seconds < best.seconds ? each : best));
    least.units.push(unit);
    least.seconds += unit.cost.seconds;
  }
  return loads.filter(({ units }) => units.length > 0).map(({ units }) => units);
}

/** The value of `--unit` for some units. */
export const unitList = (units: readonly PlanUnit[]): string => units.map(({ id }) => id).join(',');
