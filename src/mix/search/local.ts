/**
 * Measured local moves. In each round every unit is measured one step up and one step down from the current mix, with everything
 * else as it is; a knapsack over these steps gives the move that should help most, and the best single exchanges follow. Damages
 * add up far better over one step around a good mix than over all precisions, which is why this beats the first knapsack.
 * Where the evaluations do not suffice for every step, the last of them are kept for the moves, and the steps that were not
 * measured are estimated. Ends when no move that is tried helps, or with the evaluations.
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
/** Evaluations that stay for moves: for the joint one and the exchanges, but no more than half of those that are left. */
const reservedOf = (left: number): number => Math.min(EXCHANGES + 1, Math.ceil(left / 2));

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
  for (const candidate of candidates(near, picks, budget)) {
    const found = await judge.measure(candidate);
    if (found === undefined) return undefined;
    if (found < damage) return { picks: candidate, damage: found };
  }
  return undefined;
}

/** The units with one step down, none, and one up, and the change of the damage; `base` is the pick of the first choice. */
interface Near {
  readonly units: readonly Unit[];
  readonly base: Picks;
}

async function neighbourhood(units: readonly Unit[], picks: Picks, damage: number, judge: Judge): Promise<Near> {
  const measured = await measuredSteps(units, picks, damage, judge);
  const scale = scaleOf(units, picks, measured);
  const near = units.map((unit, at) => {
    const own = picks[at] as number;
    const changeAt = (pick: number): number =>
      pick === own ? 0 : (measured.get(stepKey(at, pick)) ?? scale * estimatedChange(unit, own, pick));
    const steps = stepsFrom(unit, own);
    return {
      base: steps[0] as number,
      choices: steps.map((pick) => ({ ...choiceOf(unit, pick), damage: changeAt(pick) })),
    };
  });
  return {
    units: units.map((unit, at) => ({ ...unit, choices: near[at]?.choices ?? [] })),
    base: near.map(({ base }) => base),
  };
}

/** Measured changes of the damage, for as many steps as the evaluations allow. */
async function measuredSteps(
  units: readonly Unit[],
  picks: Picks,
  damage: number,
  judge: Judge,
): Promise<ReadonlyMap<string, number>> {
  const changes = new Map<string, number>();
  const reserved = reservedOf(judge.left);
  // From the last unit on: it stands late in the model, where little has to be run again.
  for (const at of [...units.keys()].reverse()) {
    const own = picks[at] as number;
    for (const pick of stepsFrom(units[at] as Unit, own)) {
      if (pick === own || judge.left <= reserved) continue;
      const found = await judge.measure(picks.with(at, pick));
      if (found !== undefined) changes.set(stepKey(at, pick), found - damage);
    }
  }
  return changes;
}

/** What a measured change is, on average, for an estimated one; 1 where nothing was measured. */
function scaleOf(units: readonly Unit[], picks: Picks, measured: ReadonlyMap<string, number>): number {
  let [found, estimated] = [0, 0];
  for (const [at, unit] of units.entries()) {
    const own = picks[at] as number;
    for (const pick of stepsFrom(unit, own)) {
      const change = measured.get(stepKey(at, pick));
      if (change === undefined) continue;
      found += Math.abs(change);
      estimated += Math.abs(estimatedChange(unit, own, pick));
    }
  }
  return estimated > 0 ? found / estimated : 1;
}

const stepKey = (at: number, pick: number): string => `${at}:${pick}`;

/** The pick itself and its neighbours. */
const stepsFrom = (unit: Unit, own: number): Picks => [own - 1, own, own + 1].filter((pick) => pick in unit.choices);

const estimatedChange = (unit: Unit, from: number, to: number): number =>
  choiceOf(unit, to).damage - choiceOf(unit, from).damage;

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
