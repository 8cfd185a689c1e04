/**
 * Percentile bootstrap intervals of means over windows: windows are drawn with replacement, since positions within a window are not
 * independent (Efron and Tibshirani, An Introduction to the Bootstrap, chapter 13). Seeded, so that equal runs state equal intervals.
 */
import { createRandom } from '../random.js';
import { meanOf, type WindowSum } from './statistics.js';

/** A range that holds the true value with the stated confidence. */
export interface Interval {
  readonly low: number;
  readonly high: number;
}

/** Confidence of intervals that are shown. */
export const LEVEL = 0.95;
/** Enough for the 0.25 % quantile to lie on 25 draws. */
const RESAMPLES = 10_000;
/** A bootstrap of fewer windows says nothing: it draws the same few sums again. */
export const LEAST_WINDOWS = 4;

export interface BootstrapOptions {
  readonly resamples?: number;
  readonly seed?: number;
}

/** Sorted means of resampled windows. */
export interface Bootstrap {
  /** The mean of the windows themselves. */
  readonly mean: number;
  /** Ascending; empty for fewer than `LEAST_WINDOWS` windows. */
  readonly means: Float64Array;
  /** Windows of the smaller sample. */
  readonly count: number;
}

/** Resamples Σ sums / Σ positions. */
export function bootstrap(windows: readonly WindowSum[], options: BootstrapOptions = {}): Bootstrap {
  const { mean } = meanOf(windows);
  const count = windows.length;
  if (count < LEAST_WINDOWS) return { mean, means: new Float64Array(0), count };
  return { mean, means: resampled(windows, options).sort(), count };
}

/** Resamples the difference of two means over windows that have nothing to do with each other. */
export function bootstrapDifference(
  base: readonly WindowSum[],
  head: readonly WindowSum[],
  options: BootstrapOptions = {},
): Bootstrap {
  const mean = meanOf(head).mean - meanOf(base).mean;
  const count = Math.min(base.length, head.length);
  if (count < LEAST_WINDOWS) return { mean, means: new Float64Array(0), count };
  const { seed = 0 } = options;
  const before = resampled(base, options);
  const means = resampled(head, { ...options, seed: seed + 1 }).map((value, at) => value - (before[at] as number));
  return { mean, means: means.sort(), count };
}

/** The differences head − base of the same windows; fails to pair windows of other lengths. */
export function pairedDifferences(base: readonly WindowSum[], head: readonly WindowSum[]): readonly WindowSum[] {
  if (base.length !== head.length) throw new RangeError(`${base.length} windows cannot be paired with ${head.length}`);
  return head.map(({ sum, positions }, at) => {
    const other = base[at] as WindowSum;
    if (other.positions !== positions) throw new RangeError('paired windows have equally many positions');
    return { sum: sum - other.sum, positions };
  });
}

/**
 * The middle `level` of the resampled means, widened as Student's distribution is for few windows, without which the interval is
 * too narrow by 5 % at 32 windows (Hesterberg, The American Statistician 69, 2015); undefined where there are none.
 */
export function intervalOf({ mean, means, count }: Bootstrap, level: number = LEVEL): Interval | undefined {
  if (means.length === 0) return undefined;
  const tail = (1 - level) / 2;
  const wider = widening(count, tail);
  return {
    low: mean - wider * (mean - quantile(means, tail)),
    high: mean + wider * (quantile(means, 1 - tail) - mean),
  };
}

/** √(n ∕ (n − 1)) t ∕ z with n − 1 degrees of freedom: Student's quantile by its expansion, the normal one by a rational (26.7.5 and 26.2.23 of Abramowitz and Stegun). */
function widening(count: number, tail: number): number {
  const t = Math.sqrt(-2 * Math.log(tail));
  const z = t - (2.515517 + t * (0.802853 + 0.010328 * t)) / (1 + t * (1.432788 + t * (0.189269 + 0.001308 * t)));
  const free = count - 1;
  const first = (z ** 2 + 1) / (4 * free);
  const second = (5 * z ** 4 + 16 * z ** 2 + 3) / (96 * free ** 2);
  return Math.sqrt(count / free) * (1 + first + second);
}

/** The interval of a share of yes-or-no items (Wilson, 1927): right near 0 and 1 too. */
export function shareInterval(share: number, count: number): Interval {
  const z = 1.959964;
  const weight = 1 + z ** 2 / count;
  const centre = (share + z ** 2 / (2 * count)) / weight;
  const half = (z / weight) * Math.sqrt((share * (1 - share)) / count + z ** 2 / (4 * count ** 2));
  return { low: Math.max(0, centre - half), high: Math.min(1, centre + half) };
}

/** The means of draws in the order they were drawn. */
function resampled(windows: readonly WindowSum[], { resamples = RESAMPLES, seed = 0 }: BootstrapOptions): Float64Array {
  const random = createRandom(seed);
  const count = windows.length;
  const sums = Float64Array.from(windows, ({ sum }) => sum);
  const positions = Float64Array.from(windows, (window) => window.positions);
  const means = new Float64Array(resamples);
  for (let draw = 0; draw < resamples; draw++) {
    let [sum, total] = [0, 0];
    for (let at = 0; at < count; at++) {
      const window = random.integer(count);
      sum += sums[window] as number;
      total += positions[window] as number;
    }
    means[draw] = sum / total;
  }
  return means;
}

/** Linear between the two nearest values (type 7 of Hyndman and Fan). */
function quantile(sorted: Float64Array, share: number): number {
  const place = share * (sorted.length - 1);
  const below = Math.floor(place);
  const [low, high] = [sorted[below] as number, sorted[Math.min(below + 1, sorted.length - 1)] as number];
  return low + (place - below) * (high - low);
}
