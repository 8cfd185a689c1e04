/** Means over windows of unequal length, with their standard errors. */

/** Sum of a quantity over one window and the number of positions it was summed over. */
export interface WindowSum {
  readonly sum: number;
  readonly positions: number;
}

export interface Mean {
  /** Σ sums / Σ positions. */
  readonly mean: number;
  /**
   * Standard error of the mean with windows as the sampling unit (positions within a window are not independent): the ratio
   * estimator of Cochran, Sampling Techniques, section 2.11. 0 for one window.
   */
  readonly standardError: number;
}

/** The mean per position of what was summed window by window. */
export function meanOf(windows: readonly WindowSum[]): Mean {
  const count = windows.length;
  const positions = windows.reduce((total, window) => total + window.positions, 0);
  const mean = windows.reduce((total, window) => total + window.sum, 0) / positions;
  const squares = windows.reduce((total, window) => total + (window.sum - mean * window.positions) ** 2, 0);
  const standardError = count < 2 ? 0 : Math.sqrt((squares * count) / (count - 1)) / positions;
  return { mean, standardError };
}

/** Standard error of a share of `count` independent yes-or-no items. */
export function shareError(share: number, count: number): number {
  return count < 2 ? 0 : Math.sqrt((share * (1 - share)) / (count - 1));
}
