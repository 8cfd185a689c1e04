import { describe, expect, it } from '@jest/globals';
import { evolve } from '../../../src/mix/search/evolution.js';
import { MeteredJudge } from '../../../src/mix/search/judge.js';
import { Front } from '../../../src/mix/search/knapsack.js';
import { localSearch } from '../../../src/mix/search/local.js';
import { choiceOf, costOf, type Mix, type Picks, type Unit } from '../../../src/mix/search/types.js';
import { createRandom } from '../../../src/random.js';
import { FakeJudge, layers, leastDamage } from './choices.js';

const BUDGET = 18;
/** What the estimates say, and what really counts: other layers, and neighbours that are both low do more than the sum. */
const estimated = layers([1, 1, 1, 1, 1, 1]);
const weights = [9, 1, 2, 1, 1, 6];
function truth(picks: Picks): number {
  const own = picks.map((pick, at) => (weights[at] as number) * 4 ** -choiceOf(estimated[at] as Unit, pick).bits);
  return own.reduce((sum, each, at) => sum + each + 3 * each * (own[at - 1] ?? 0), 0);
}
const start = new Front(estimated).picks(new Front(estimated).within(BUDGET) as number);
const best = leastDamage(estimated, BUDGET, truth);

describe('local search', () => {
  it('finds the best mix from estimates that mislead', async () => {
    const judge = new FakeJudge(truth);
    const found = await localSearch(estimated, start, BUDGET, judge);
    expect(truth(start)).toBeGreaterThan(1.2 * best);
    expect(found?.damage).toBeCloseTo(best, 12);
    expect(costOf(estimated, found?.picks ?? [])).toBeLessThanOrEqual(BUDGET);
    expect(judge.asked.size).toBeLessThan(100);
  });

  it('goes by estimates for the steps it has no evaluations for', async () => {
    const judge = new FakeJudge(truth, 8);
    const found = await localSearch(estimated, start, BUDGET, judge);
    expect(found?.damage).toBeLessThan(0.95 * truth(start));
  });

  it('ends with the evaluations, never worse than where it began', async () => {
    for (const most of [0, 1, 5, 12, 20]) {
      const judge = new FakeJudge(truth, most);
      const found = await localSearch(estimated, start, BUDGET, judge);
      expect(judge.asked.size).toBeLessThanOrEqual(most);
      if (most === 0) expect(found).toBeUndefined();
      else expect(found?.damage).toBeLessThanOrEqual(truth(start));
    }
  });
});

describe('evolution', () => {
  const options = { units: estimated, budget: BUDGET, seeds: [start], patience: 60 };

  it('finds the best mix, and the same one again for the same seed', async () => {
    const runs = await Promise.all(
      [1, 1].map((seed) => evolve({ ...options, random: createRandom(seed) }, new FakeJudge(truth, 300))),
    );
    expect(runs[0]?.damage).toBeCloseTo(best, 12);
    expect(runs[1]).toEqual(runs[0]);
  });

  it('brings what costs too much back to the budget, and keeps the number of evaluations', async () => {
    const judge = new FakeJudge(truth, 25);
    const found = await evolve({ ...options, seeds: [[4, 4, 4, 4, 4, 4]], random: createRandom(3) }, judge);
    expect(judge.asked.size).toBe(25);
    expect(costOf(estimated, found?.picks ?? [])).toBeLessThanOrEqual(BUDGET);
    for (const picks of judge.asked)
      expect(costOf(estimated, picks.split(',').map(Number))).toBeLessThanOrEqual(BUDGET);
  });
});

describe('a metered judge', () => {
  it('runs each mix once, joins what is fixed, and stops', async () => {
    const seen: Mix[] = [];
    const meter = { measure: async (mix: Mix) => ({ kl: seen.push(mix) }), settle: async () => {} };
    const judge = new MeteredJudge(meter, layers([1], [2, 3, 4]), new Map([['layers.9.q', 8]]), 2);
    expect(await judge.measure([1])).toBe(1);
    expect(await judge.measure([1])).toBe(1);
    expect(await judge.measure([0])).toBe(2);
    expect(await judge.measure([2])).toBeUndefined();
    expect(await judge.measure([0])).toBe(2);
    expect(judge.evaluations).toBe(2);
    expect(seen[0]).toEqual(
      new Map([
        ['layers.9.q', 8],
        ['layers.0.gate', 3],
        ['layers.0.down', 3],
      ]),
    );
  });
});
