import { describe, expect, it } from '@jest/globals';
import { meanOf, shareError } from '../../src/evaluate/statistics.js';

describe('meanOf', () => {
  it('weighs windows by their positions', () => {
    expect(
      meanOf([
        { sum: 10, positions: 5 },
        { sum: 1, positions: 1 },
      ]).mean,
    ).toBeCloseTo(11 / 6, 12);
  });

  it('gives the textbook error for windows of equal length', () => {
    const means = [2, 3, 7];
    const { mean, standardError } = meanOf(means.map((value) => ({ sum: value * 10, positions: 10 })));
    expect(mean).toBeCloseTo(4, 12);
    // Deviation √7 (n − 1), over √3.
    expect(standardError).toBeCloseTo(Math.sqrt(7 / 3), 12);
  });

  it('has no error to state for one window', () => {
    expect(meanOf([{ sum: 4, positions: 2 }])).toEqual({ mean: 2, standardError: 0 });
  });
});

describe('shareError', () => {
  it('is that of a binomial share', () => {
    expect(shareError(0.5, 101)).toBeCloseTo(0.05, 12);
    expect(shareError(1, 1)).toBe(0);
  });
});
