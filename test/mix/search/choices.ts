/** Small problems for searches, and the slow ways to solve them. */
import fc from 'fast-check';
import type { Judge } from '../../../src/mix/search/judge.js';
import { costOf, damageOf, type Picks, type Unit } from '../../../src/mix/search/types.js';
import type { Precision } from '../../../src/quant/precision.js';

/** A unit from pairs of cost and damage. */
export function unit(at: number, pairs: readonly (readonly [cost: number, damage: number])[]): Unit {
  const choices = pairs.map(([cost, damage], pick) => ({ bits: (pick + 2) as Precision, cost, damage }));
  return { id: `layers.${at}`, projections: [`layers.${at}.down`], choices };
}

/** Layers of one size: cost r, damage `weight` · 4^-r. */
export function layers(weights: readonly number[], bits: readonly Precision[] = [2, 3, 4, 6, 8]): readonly Unit[] {
  return weights.map((weight, at) => {
    const choices = bits.map((each) => ({ bits: each, cost: each, damage: weight * 4 ** -each }));
    return { id: `layers.${at}`, projections: [`layers.${at}.gate`, `layers.${at}.down`], choices };
  });
}

/** Up to five units with up to four choices each; damages are no multiples of anything. */
export const problems: fc.Arbitrary<readonly Unit[]> = fc
  .array(
    fc.array(fc.tuple(fc.integer({ min: 0, max: 12 }), fc.double({ min: 0, max: 9, noNaN: true })), {
      minLength: 1,
      maxLength: 4,
    }),
    { minLength: 1, maxLength: 5 },
  )
  .map((all) => all.map((pairs, at) => unit(at, pairs)));

/** Every mix. */
export function* allPicks(units: readonly Unit[]): Generator<Picks> {
  const [first, ...others] = units;
  if (first === undefined) {
    yield [];
    return;
  }
  for (const rest of allPicks(others)) for (const pick of first.choices.keys()) yield [pick, ...rest];
}

/** The least damage within a budget, by trying everything. */
export function leastDamage(
  units: readonly Unit[],
  budget: number,
  damage: (picks: Picks) => number = (picks) => damageOf(units, picks),
): number {
  let least = Number.POSITIVE_INFINITY;
  for (const picks of allPicks(units)) if (costOf(units, picks) <= budget) least = Math.min(least, damage(picks));
  return least;
}

/** A judge that computes, and counts what it was asked. */
export class FakeJudge implements Judge {
  readonly asked: Set<string> = new Set();
  readonly #damage: (picks: Picks) => number;
  readonly #most: number;

  constructor(damage: (picks: Picks) => number, most: number = Number.POSITIVE_INFINITY) {
    this.#damage = damage;
    this.#most = most;
  }

  get left(): number {
    return this.#most - this.asked.size;
  }

  async measure(picks: Picks): Promise<number | undefined> {
    if (!this.asked.has(picks.join()) && this.asked.size >= this.#most) return undefined;
    this.asked.add(picks.join());
    return this.#damage(picks);
  }

  async settle(): Promise<void> {}
}
