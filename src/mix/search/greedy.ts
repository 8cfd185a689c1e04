/** The simple way, for comparison: everything at its cheapest, then again and again the raise that buys most for its cost. */
import { choiceOf, type Picks, type Unit } from './types.js';

interface Raise {
  readonly unit: number;
  readonly pick: number;
  readonly cost: number;
  readonly worth: number;
}

/** Picks within the budget, or undefined when even the cheapest mix costs more. */
export function greedyPicks(units: readonly Unit[], budget: number): Picks | undefined {
  const picks = units.map(({ choices }) => cheapest(choices.map(({ cost }) => cost)));
  let left = budget - units.reduce((sum, unit, at) => sum + choiceOf(unit, picks[at] as number).cost, 0);
  if (left < 0) return undefined;
  for (;;) {
    const best = units
      .flatMap((unit, at) => raisesOf(unit, at, picks[at] as number))
      .filter(({ cost }) => cost <= left)
      .reduce<Raise | undefined>(
        (most, each) => (most === undefined || each.worth > most.worth ? each : most),
        undefined,
      );
    if (best === undefined) return picks;
    picks[best.unit] = best.pick;
    left -= best.cost;
  }
}

const cheapest = (costs: readonly number[]): number => costs.indexOf(Math.min(...costs));

/** What takes damage away, with how much for each byte. */
function raisesOf(unit: Unit, at: number, from: number): readonly Raise[] {
  const own = choiceOf(unit, from);
  return unit.choices.flatMap((choice, pick) => {
    const [cost, gain] = [choice.cost - own.cost, own.damage - choice.damage];
    return gain > 0 && cost > 0 ? [{ unit: at, pick, cost, worth: gain / cost }] : [];
  });
}
