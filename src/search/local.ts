/**
 * Measured local moves. In each round every unit is measured one step up and one step down from the current mix, with everything
 * else as it is; a knapsack over these steps gives the move that should help most, and the best single exchanges follow. Damages
 * add up far better over one step around a good mix than over all precisions, which is why this beats the first knapsack.
 * Ends when no move that is tried helps, or with the evaluations.
 */
import type { Judge } from './judge.js';
import { Front } from './knapsack.js';
import { choiceOf, costOf, type Picks, type Unit } from './types.js';

/** A mix and its measured damage. */
export interface Judged {
  readonly picks: Picks;
  readonly damage: number;
}

/** Exchanges of two units that are tried when the joint move does not help. */
const EXCHANGES = 6;

/** Improves `start` within the budget. `start` must fit it. */
export async function localSearch(
  units: readonly Unit[],
  start: Picks,
  budget: number,
  judge: Judge,
): Promise<Judged | undefined> {
  const first = await judge.measure(start);
  if (first === undefined) return undefined;
  let best: Judged = { picks: start, damage: first };
  for (;;) {
    await judge.settle(best.picks);
    const next = await improved(units, best, budget, judge);
    if (next === undefined) return best;
    best = next;
  }
}

async function improved(
  units: readonly Unit[],
  { picks, damage }: Judged,
  budget: number,
  judge: Judge,
): Promise<Judged | undefined> {
  const near = await neighbourhood(units, picks, damage, judge);
  if (near === undefined) return undefined;
  for (const candidate of candidates(near, picks, budget)) {
    const found = await judge.measure(candidate);
    if (found === undefined) return undefined;
    if (found < damage) return { picks: candidate, damage: found };
  }
  return undefined;
}

/** The units with one step down, none, and one up, and the measured change of the damage; `base` is the pick of the first choice. */
interface Near {
  readonly units: readonly Unit[];
  readonly base: Picks;
}

async function neighbourhood(
  units: readonly Unit[],
  picks: Picks,
  damage: number,
  judge: Judge,
): Promise<Near | undefined> {
  const near: Unit[] = [];
  const base: number[] = [];
  // From the last unit on: it stands late in the model, where little has to be run again.
  for (const at of [...units.keys()].reverse()) {
    const unit = units[at] as Unit;
    const own = picks[at] as number;
    const steps = [own - 1, own, own + 1].filter((pick) => pick in unit.choices);
    const choices = [];
    for (const pick of steps) {
      const found = pick === own ? damage : await judge.measure(picks.with(at, pick));
      if (found === undefined) return undefined;
      choices.push({ ...choiceOf(unit, pick), damage: found - damage });
    }
    near.unshift({ ...unit, choices });
    base.unshift(steps[0] ?? own);
  }
  return { units: near, base };
}

/** Mixes that should be better, the most promising first. */
function candidates({ units, base }: Near, picks: Picks, budget: number): readonly Picks[] {
  const front = new Front(units);
  const joint = front.within(budget);
  const moves = joint === undefined ? [] : [front.picks(joint).map((pick, at) => pick + (base[at] as number))];
  const all = [...moves, ...exchanges({ units, base }, picks, budget)];
  const seen = new Set([picks.join()]);
  return all.filter((each) => !seen.has(each.join()) && seen.add(each.join()));
}

/** One unit up or one up and one down, by predicted gain. */
function exchanges({ units, base }: Near, picks: Picks, budget: number): readonly Picks[] {
  const spent = costOf(
    units,
    picks.map((pick, at) => pick - (base[at] as number)),
  );
  const steps = units.flatMap((unit, at) => {
    const own = choiceOf(unit, (picks[at] as number) - (base[at] as number));
    return unit.choices.flatMap(({ cost, damage }, index) => {
      const pick = index + (base[at] as number);
      return pick === picks[at] ? [] : [{ at, pick, cost: cost - own.cost, damage }];
    });
  });
  const pairs = steps.flatMap((a, index) => [
    { moves: [a], cost: a.cost, damage: a.damage },
    ...steps
      .slice(index + 1)
      .filter((b) => b.at !== a.at)
      .map((b) => ({ moves: [a, b], cost: a.cost + b.cost, damage: a.damage + b.damage })),
  ]);
  return pairs
    .filter(({ cost, damage }) => spent + cost <= budget && damage < 0)
    .sort((a, b) => a.damage - b.damage)
    .slice(0, EXCHANGES)
    .map(({ moves }) => moves.reduce<Picks>((all, { at, pick }) => all.with(at, pick), picks));
}
