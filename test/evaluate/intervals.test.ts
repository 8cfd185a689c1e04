import { describe, expect, it } from '@jest/globals';
import {
  bootstrap,
  bootstrapDifference,
  intervalOf,
  pairedDifferences,
  shareInterval,
} from '../../src/evaluate/intervals.js';
import { meanOf, type WindowSum } from '../../src/evaluate/statistics.js';
import { createRandom } from '../../src/random.js';

/** Windows whose means are drawn from a normal distribution. */
function drawn(count: number, mean: number, seed: number): readonly WindowSum[] {
  const random = createRandom(seed);
  return Array.from({ length: count }, () => {
    const positions = 50 + random.integer(100);
    return { sum: positions * (mean + 0.2 * random.normal()), positions };
  });
}

describe('bootstrap', () => {
  it('gives about 1.96 standard errors to each side for many normal windows', () => {
    const windows = drawn(400, 1, 1);
    const { mean, standardError } = meanOf(windows);
    const interval = intervalOf(bootstrap(windows)) ?? { low: 0, high: 0 };
    expect((mean - interval.low) / standardError).toBeGreaterThan(1.8);
    expect((mean - interval.low) / standardError).toBeLessThan(2.15);
    expect((interval.high - mean) / standardError).toBeGreaterThan(1.8);
    expect((interval.high - mean) / standardError).toBeLessThan(2.15);
  });

  it('holds the true mean about as often as it says', () => {
    const trials = Array.from({ length: 100 }, (_, seed) => {
      const interval = intervalOf(bootstrap(drawn(32, 1, 100 + seed), { resamples: 500, seed }));
      return interval !== undefined && interval.low <= 1 && interval.high >= 1;
    });
    const share = trials.filter(Boolean).length / trials.length;
    expect(share).toBeGreaterThan(0.87);
  });

  it('is as wide as Student says for few normal windows', () => {
    const means = [0.9, 1.3, 0.8, 1.1, 1.05, 0.7, 1.2, 0.95];
    const windows = means.map((value) => ({ sum: 50 * value, positions: 50 }));
    const { mean, standardError } = meanOf(windows);
    const interval = intervalOf(bootstrap(windows)) ?? { low: 0, high: 0 };
    // Student's 97.5 % quantile with 7 degrees of freedom is 2.365.
    expect((interval.high - interval.low) / (2 * 2.365 * standardError)).toBeGreaterThan(0.92);
    expect((interval.high - interval.low) / (2 * 2.365 * standardError)).toBeLessThan(1.08);
    expect(interval.low).toBeLessThan(mean);
  });

  it('is the same for the same seed and another for another', () => {
    const windows = drawn(20, 1, 3);
    expect(bootstrap(windows, { seed: 5 })).toEqual(bootstrap(windows, { seed: 5 }));
    expect(bootstrap(windows, { seed: 6 })).not.toEqual(bootstrap(windows, { seed: 5 }));
  });

  it('widens with the level, and says nothing of fewer than four windows', () => {
    const drawnMeans = bootstrap(drawn(20, 1, 3));
    const [narrow, wide] = [intervalOf(drawnMeans, 0.5), intervalOf(drawnMeans, 0.99)];
    expect((wide?.high ?? 0) - (wide?.low ?? 0)).toBeGreaterThan(2 * ((narrow?.high ?? 0) - (narrow?.low ?? 0)));
    expect(intervalOf(bootstrap(drawn(3, 1, 3)))).toBeUndefined();
  });

  it('is narrow for paired differences of windows that differ much among themselves', () => {
    const base = drawn(40, 3, 7);
    const head = base.map(({ sum, positions }) => ({ sum: sum + 0.01 * positions, positions }));
    const paired = intervalOf(bootstrap(pairedDifferences(base, head)));
    expect(paired?.low).toBeCloseTo(0.01, 6);
    expect(paired?.high).toBeCloseTo(0.01, 6);
    const apart = intervalOf(bootstrapDifference(base, head));
    expect(apart?.low).toBeLessThan(0);
    expect(apart?.high).toBeGreaterThan(0.02);
  });

  it('pairs equal windows only', () => {
    expect(() => pairedDifferences(drawn(3, 1, 1), drawn(4, 1, 1))).toThrow(RangeError);
    expect(() => pairedDifferences(drawn(3, 1, 1), drawn(3, 1, 2))).toThrow(RangeError);
  });
});

describe('shareInterval', () => {
  it('is that of Wilson', () => {
    // Newcombe, Statistics in Medicine 17 (1998), table I, method 3: 81 of 263 and 0 of 20.
    const [common, none] = [shareInterval(81 / 263, 263), shareInterval(0, 20)];
    expect(common.low).toBeCloseTo(0.2553, 4);
    expect(common.high).toBeCloseTo(0.3662, 4);
    expect(none.low).toBe(0);
    expect(none.high).toBeCloseTo(0.1611, 4);
  });
});
