/**
 * e^x for x ≤ 0, the inner loop of scoring: 2^(n/2048) from a table times a short series. Relative error below 1e-11
 * (measured 6.5e-12 over 10^6 draws), 3 times as fast as Math.exp in Node 20 (2.0 s beside 5.6 s for the two exponentials and
 * five sums of 511 rows of 262,144).
 */

const TABLE_BITS = 11;
const STEPS = 1 << TABLE_BITS;
const PER_STEP: number = Math.LN2 / STEPS;
const STEPS_PER_UNIT: number = STEPS / Math.LN2;

/** 2^(i/2048). */
const FRACTIONS: Float64Array = Float64Array.from({ length: STEPS }, (_, at) => 2 ** (at / STEPS));
/** 2^−i. Below 2^−1022 the result counts as 0, which float64 sums of terms up to 1 cannot tell. */
const POWERS: Float64Array = Float64Array.from({ length: 1023 }, (_, at) => 2 ** -at);
const LEAST: number = -1022 * STEPS;

/** e^x for x ≤ 0; 0 below −708; NaN for NaN. */
export function expNegative(x: number): number {
  const steps = x * STEPS_PER_UNIT;
  if (!(steps >= LEAST)) return x < 0 ? 0 : NaN;
  const whole = Math.floor(steps);
  const rest = (steps - whole) * PER_STEP;
  const scale = (FRACTIONS[whole & (STEPS - 1)] as number) * (POWERS[-(whole >> TABLE_BITS)] as number);
  return scale * (1 + rest * (1 + rest * 0.5));
}
