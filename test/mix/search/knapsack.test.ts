import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { greedyPicks } from '../../../src/mix/search/greedy.js';
import { Front } from '../../../src/mix/search/knapsack.js';
import { costOf, damageOf } from '../../../src/mix/search/types.js';
import { allPicks, layers, leastDamage, problems } from './choices.js';

describe('the knapsack', () => {
  it('finds for every budget what trying everything finds', () => {
    fc.assert(
      fc.property(problems, fc.integer({ min: 0, max: 50 }), (units, budget) => {
        const front = new Front(units);
        const point = front.within(budget);
        const least = leastDamage(units, budget);
        if (point === undefined) {
          expect(least).toBe(Number.POSITIVE_INFINITY);
          return;
        }
        const picks = front.picks(point);
        expect(costOf(units, picks)).toBeLessThanOrEqual(budget);
        expect(damageOf(units, picks)).toBeCloseTo(least, 9);
      }),
    );
  });

  it('finds for every damage the cheapest mix', () => {
    fc.assert(
      fc.property(problems, fc.double({ min: 0, max: 20, noNaN: true }), (units, damage) => {
        const point = new Front(units).atMost(damage);
        const costs = [...allPicks(units)].filter((picks) => damageOf(units, picks) <= damage + 1e-12);
        const least = Math.min(...costs.map((picks) => costOf(units, picks)));
        const found = point === undefined ? Number.POSITIVE_INFINITY : new Front(units).points[point]?.cost;
        // Sums in another order may fall on the other side of the bound.
        const near = [...allPicks(units)].some((picks) => Math.abs(damageOf(units, picks) - damage) < 1e-9);
        if (!near) expect(found).toBe(least);
      }),
    );
  });

  it('lists points in order, no one beaten by another', () => {
    fc.assert(
      fc.property(problems, (units) => {
        const { points } = new Front(units);
        points.slice(1).forEach((point, at) => {
          expect(point.cost).toBeGreaterThan(points[at]?.cost as number);
          expect(point.damage).toBeLessThan(points[at]?.damage as number);
        });
      }),
    );
  });

  it('solves 18 layers at once for all budgets', () => {
    const units = layers(Array.from({ length: 18 }, (_, at) => 1 + ((at * 7) % 5)));
    const front = new Front(units);
    expect(front.points.length).toBeLessThanOrEqual(6 * 18 + 1);
    const picks = front.picks(front.within(54) as number);
    expect(costOf(units, picks)).toBe(54);
    // The most sensitive layers have at least the bits of the others.
    const bits = picks.map((pick, at) => units[at]?.choices[pick]?.bits as number);
    const of = (weight: number): readonly number[] => bits.filter((_, at) => 1 + ((at * 7) % 5) === weight);
    expect(Math.min(...of(5))).toBeGreaterThanOrEqual(Math.max(...of(1)));
  });
});

describe('greedy raises', () => {
  it('keep the budget and are never better than the knapsack', () => {
    fc.assert(
      fc.property(problems, fc.integer({ min: 0, max: 50 }), (units, budget) => {
        const picks = greedyPicks(units, budget);
        const point = new Front(units).within(budget);
        expect(picks === undefined).toBe(point === undefined);
        if (picks === undefined || point === undefined) return;
        expect(costOf(units, picks)).toBeLessThanOrEqual(budget);
        expect(damageOf(units, picks)).toBeGreaterThanOrEqual((new Front(units).points[point]?.damage ?? 0) - 1e-9);
      }),
    );
  });

  it('raise what buys most', () => {
    expect(greedyPicks(layers([1, 9, 1], [2, 4]), 8)).toEqual([0, 1, 0]);
  });
});
