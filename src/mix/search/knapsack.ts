/**
 * The exact choice of one precision per unit when sensitivities add up: a multiple-choice knapsack, solved by dynamic programming over
 * the mixes that no other mix beats in both cost and damage. One table answers every budget, and every bound on the damage.
 */
import type { Picks, Unit } from './types.js';

/** A mix that no other beats. */
export interface FrontPoint {
  readonly cost: number;
  readonly damage: number;
}

/** States of one stage: every undominated sum over the first units, cheapest first. */
interface Stage {
  readonly cost: Float64Array;
  readonly damage: Float64Array;
  readonly pick: Uint8Array;
  /** Index of the state of the stage before. */
  readonly from: Int32Array;
}

/**
 * Above this many states a stage keeps one per step of cost, so that the answer may miss the best by at most that step for each
 * unit. Equal layers never come near it: their sums of cost fall together (18 layers of Gemma 3 270M: 109).
 */
const MOST_STATES = 1 << 17;

export class Front {
  readonly points: readonly FrontPoint[];
  readonly #stages: readonly Stage[];

  constructor(units: readonly Unit[]) {
    const stages: Stage[] = [];
    let last: Stage = startStage();
    for (const unit of units) {
      last = extend(last, unit);
      stages.push(last);
    }
    this.#stages = stages;
    this.points = Array.from(last.cost, (cost, at) => ({ cost, damage: last.damage[at] as number }));
  }

  /** The choices behind a point. */
  picks(point: number): Picks {
    const picks: number[] = [];
    let at = point;
    for (const stage of this.#stages.toReversed()) {
      picks.push(stage.pick[at] as number);
      at = stage.from[at] as number;
    }
    return picks.reverse();
  }

  /** The least damage for at most this cost: the index of its point, or undefined when nothing is that cheap. */
  within(budget: number): number | undefined {
    const found = this.points.findLastIndex(({ cost }) => cost <= budget);
    return found < 0 ? undefined : found;
  }

  /** The least cost for at most this damage. */
  atMost(damage: number): number | undefined {
    const found = this.points.findIndex((point) => point.damage <= damage);
    return found < 0 ? undefined : found;
  }
}

function startStage(): Stage {
  return { cost: new Float64Array(1), damage: new Float64Array(1), pick: new Uint8Array(1), from: new Int32Array(1) };
}

/** Every state with every choice, without those that another beats. */
function extend(before: Stage, unit: Unit): Stage {
  const count = before.cost.length;
  const total = count * unit.choices.length;
  const cost = new Float64Array(total);
  const damage = new Float64Array(total);
  unit.choices.forEach((choice, pick) => {
    for (let at = 0; at < count; at++) {
      cost[pick * count + at] = (before.cost[at] as number) + choice.cost;
      damage[pick * count + at] = (before.damage[at] as number) + choice.damage;
    }
  });
  const order = Array.from({ length: total }, (_, at) => at).sort(
    (a, b) => (cost[a] as number) - (cost[b] as number) || (damage[a] as number) - (damage[b] as number) || a - b,
  );
  const kept = thinned(undominated(order, damage), cost);
  return {
    cost: Float64Array.from(kept, (at) => cost[at] as number),
    damage: Float64Array.from(kept, (at) => damage[at] as number),
    pick: Uint8Array.from(kept, (at) => Math.floor(at / count)),
    from: Int32Array.from(kept, (at) => at % count),
  };
}

function undominated(order: readonly number[], damage: Float64Array): readonly number[] {
  let least = Number.POSITIVE_INFINITY;
  return order.filter((at) => {
    const better = (damage[at] as number) < least;
    if (better) least = damage[at] as number;
    return better;
  });
}

/** The best state of each step of cost, when there are too many. */
function thinned(states: readonly number[], cost: Float64Array): readonly number[] {
  if (states.length <= MOST_STATES) return states;
  const first = cost[states[0] as number] as number;
  const step = ((cost[states.at(-1) as number] as number) - first) / MOST_STATES;
  const bin = (at: number): number => Math.floor(((cost[at] as number) - first) / step);
  return states.filter((at, index) => index === states.length - 1 || bin(states[index + 1] as number) !== bin(at));
}
