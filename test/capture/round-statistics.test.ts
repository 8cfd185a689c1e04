/** Rounded statistics do not depend on the last digits of sums. */
import { describe, expect, it } from '@jest/globals';
import { roundStatistics } from '../../src/capture/round-statistics.js';
import { triangleIndex, triangleLength } from '../../src/capture/statistics.js';
import { createRandom } from '../../src/random.js';

const K = 24;
const random = createRandom(3);
/** Columns of very different sizes. */
const sizes = Array.from({ length: K }, (_, at) => 10 ** ((at % 7) - 3));
const rows = Array.from({ length: 200 }, () => sizes.map((size) => size * random.normal()));
const other = Array.from({ length: 200 }, () => sizes.map((size) => 1e-3 * size * random.normal()));

/** Sums over rows, in float64, in an order. */
function sums(order: readonly number[]) {
  const gram = new Float64Array(triangleLength(K));
  const sum = new Float64Array(K);
  const change = new Float64Array(K * K);
  for (const row of order) {
    const [x, y] = [rows[row] as number[], other[row] as number[]];
    for (let i = 0; i < K; i++) {
      sum[i] = (sum[i] as number) + (x[i] as number);
      for (let j = 0; j < K; j++) {
        const at = triangleIndex(K, i, j);
        if (j >= i) gram[at] = (gram[at] as number) + (x[i] as number) * (x[j] as number);
        change[i * K + j] = (change[i * K + j] as number) + (x[i] as number) * (y[j] as number);
      }
    }
  }
  return { group: 'g', k: K, tokens: rows.length, gram, sum, change };
}

const up = rows.map((_, at) => at);

describe('roundStatistics', () => {
  it('gives the same numbers whatever the order of the sums', () => {
    const [one, two] = [sums(up), sums(up.toReversed())];
    expect(one.gram).not.toEqual(two.gram);
    expect(roundStatistics(one)).toEqual(roundStatistics(two));
  });

  it('changes elements by at most 2^-16 of the sizes of their columns, and fits float32', () => {
    const found = sums(up);
    const { gram } = roundStatistics(found);
    const size = (i: number): number => Math.sqrt(found.gram[triangleIndex(K, i, i)] as number);
    for (let i = 0; i < K; i++)
      for (let j = i; j < K; j++) {
        const at = triangleIndex(K, i, j);
        const error = Math.abs((gram[at] as number) - (found.gram[at] as number));
        expect(error).toBeLessThanOrEqual(2 ** -16 * size(i) * size(j));
        expect(Math.fround(gram[at] as number)).toBe(gram[at]);
      }
  });

  it('takes the exponent of a size from the rounded size', () => {
    const close = (value: number) => ({
      group: 'g',
      k: 2,
      tokens: 1,
      gram: Float64Array.of(value, 0.123456789, 1),
      sum: new Float64Array(2),
    });
    expect(roundStatistics(close(1 - 1e-15)).gram).toEqual(roundStatistics(close(1)).gram);
  });

  it('keeps columns that are zero', () => {
    const gram = new Float64Array(3);
    gram[2] = 4;
    const zero = { group: 'g', k: 2, tokens: 1, gram, sum: new Float64Array(2) };
    expect(roundStatistics(zero)).toEqual(zero);
  });
});
