/** Judges a measured figure against a limit by its interval. */
import type { Interval } from './intervals.js';

/** `pass` and `miss` are clear; `unclear` where the limit lies inside the interval, or nothing is known of the interval. */
export type Verdict = 'pass' | 'miss' | 'unclear';

/** What a limit bounds. */
export type Side = 'most' | 'least';

export interface Judged {
  readonly verdict: Verdict;
  /** Whether the measured value is within the limit, however clearly. */
  readonly passed: boolean;
}

/** A figure without an interval is taken as exact. */
export function judge(value: number, limit: number, side: Side, interval?: Interval | 'unknown'): Judged {
  const holds = (figure: number): boolean => (side === 'most' ? figure <= limit : figure >= limit);
  const passed = holds(value);
  if (interval === undefined) return { verdict: passed ? 'pass' : 'miss', passed };
  if (interval === 'unknown') return { verdict: 'unclear', passed };
  const [best, worst] = side === 'most' ? [interval.low, interval.high] : [interval.high, interval.low];
  if (passed && holds(worst)) return { verdict: 'pass', passed };
  if (!passed && !holds(best)) return { verdict: 'miss', passed };
  return { verdict: 'unclear', passed };
}
