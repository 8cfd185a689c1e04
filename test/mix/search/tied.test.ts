import { describe, expect, it } from '@jest/globals';
import { Front } from '../../../src/mix/search/knapsack.js';
import { tie } from '../../../src/mix/search/tied.js';
import { costOf, damageOf } from '../../../src/mix/search/types.js';
import { layers } from './choices.js';

describe('tied units', () => {
  const units = [...layers([1, 2, 3, 4], [2, 4, 8]), ...layers([5], [4, 8])];
  const tied = tie(units, [0, 0, 1, 1, 1]);

  it('join units of a group that have the same choices', () => {
    expect(tied.units.map(({ projections }) => projections.length)).toEqual([4, 4, 2]);
    expect(tied.picks([2, 0, 1])).toEqual([2, 2, 0, 0, 1]);
  });

  it('cost and damage what their members do', () => {
    for (const picks of [
      [0, 0, 0],
      [1, 2, 0],
      [2, 1, 1],
    ]) {
      expect(costOf(tied.units, picks)).toBe(costOf(units, tied.picks(picks)));
      expect(damageOf(tied.units, picks)).toBeCloseTo(damageOf(units, tied.picks(picks)), 12);
    }
  });

  it('have a front that the units themselves do not lose to', () => {
    const [own, free] = [new Front(tied.units), new Front(units)];
    for (const budget of [16, 20, 24, 30]) {
      const [a, b] = [own, free].map((front) => front.points[front.within(budget) as number]?.damage as number);
      expect(a).toBeGreaterThanOrEqual(b as number);
    }
  });
});
