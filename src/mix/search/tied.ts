/** Units that take one precision together, such as all projections of a layer: a smaller search, whose mixes are mixes of the units too. */
import type { Choice, Picks, Unit } from './types.js';

/** Units of units, and what a mix of them is for each. */
export interface Tied {
  readonly units: readonly Unit[];
  picks(tied: Picks): Picks;
}

/** Ties units of one `group` that have the same precisions to choose from. Costs and sensitivities add up. */
export function tie(units: readonly Unit[], groups: readonly number[]): Tied {
  const members = new Map<string, number[]>();
  for (const [at, { choices }] of units.entries()) {
    const key = [groups[at], ...choices.map(({ bits }) => bits)].join();
    members.set(key, [...(members.get(key) ?? []), at]);
  }
  const all = [...members.values()];
  const place = new Map(all.flatMap((own, index) => own.map((at) => [at, index] as const)));
  return {
    units: all.map((own) => joined(own.map((at) => units[at] as Unit))),
    picks: (tied) => units.map((_, at) => tied[place.get(at) as number] as number),
  };
}

function joined(units: readonly Unit[]): Unit {
  const [first] = units as [Unit];
  const choices = first.choices.map(({ bits }, pick): Choice => {
    const sum = (of: 'cost' | 'damage'): number =>
      units.reduce((total, unit) => total + (unit.choices[pick]?.[of] ?? 0), 0);
    return { bits, cost: sum('cost'), damage: sum('damage') };
  });
  return {
    id: units.map(({ id }) => id).join('+'),
    projections: units.flatMap(({ projections }) => projections),
    choices,
  };
}
