import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { type Logits, logitsOf } from '../../src/evaluate/logits.js';
import { scoreRows } from '../../src/evaluate/row-scorer.js';
import { scoreCandidate, scoreEnding, scoreReference } from '../../src/evaluate/score.js';
import { KernelPool } from '../../src/kernels/pool.js';
import { float32ToFloat16 } from '../../src/onnx/ir/half.js';
import { createRandom } from '../../src/random.js';

let pool: KernelPool;
beforeAll(() => {
  pool = new KernelPool(2);
});
afterAll(() => pool.close());

/** Rows of logits drawn from a wide normal distribution. */
function draw(rows: number, vocabulary: number, seed: number, spread = 6): Logits {
  const random = createRandom(seed);
  const data = Float32Array.from({ length: rows * vocabulary }, () => spread * random.normal());
  return logitsOf({ dtype: 'float32', dims: [1, rows, vocabulary], data }, 'test');
}

/** The definitions, with Math.exp and no tricks. */
function logSoftmax(row: Float32Array): number[] {
  const most = Math.max(...row);
  const logSum = most + Math.log(row.reduce((sum, logit) => sum + Math.exp(logit - most), 0));
  return [...row].map((logit) => logit - logSum);
}

function divergence(reference: Float32Array, candidate: Float32Array): number {
  const [p, q] = [logSoftmax(reference), logSoftmax(candidate)];
  return p.reduce((sum, logP, id) => sum + Math.exp(logP) * (logP - (q[id] as number)), 0);
}

describe('scoreRows', () => {
  it('agrees with the definitions for any vocabulary and spread', async () => {
    const vocabulary = fc.integer({ min: 1, max: 70 });
    const spread = fc.constantFrom(1e-3, 1, 8, 60, 400);
    await fc.assert(
      fc.asyncProperty(vocabulary, spread, fc.nat(), async (columns, width, seed) => {
        const reference = draw(3, columns, seed, width);
        const candidate = draw(3, columns, seed + 1, width);
        const first = await scoreRows(pool, reference, [0, 3]);
        const rows = await scoreRows(pool, candidate, [0, 3], { logits: reference, logSums: first.logSums });
        for (let row = 0; row < 3; row++) {
          const logits = candidate.row(row);
          const best = logits.indexOf(Math.max(...logits));
          const logSum = (logits[0] as number) - (logSoftmax(logits)[0] as number);
          expect(rows.likeliest[row]).toBe(best);
          expect(Math.abs((rows.logSums[row] as number) - logSum)).toBeLessThan(1e-10 * Math.max(1, Math.abs(logSum)));
          const expected = divergence(reference.row(row), logits);
          expect(Math.abs((rows.divergences[row] as number) - expected)).toBeLessThan(1e-9 * Math.max(1, expected));
        }
      }),
      { numRuns: 60 },
    );
  });

  it('gives a divergence of exactly 0 for equal logits', async () => {
    const logits = draw(4, 1000, 5);
    const { logSums } = await scoreRows(pool, logits, [0, 4]);
    const { divergences } = await scoreRows(pool, logits, [0, 4], { logits, logSums });
    expect([...divergences]).toEqual([0, 0, 0, 0]);
  });

  it('does not depend on threads, batches or the range asked for', async () => {
    const [reference, candidate] = [draw(9, 517, 1), draw(9, 517, 2)];
    const { logSums } = await scoreRows(pool, reference, [0, 9]);
    const all = await scoreRows(pool, candidate, [0, 9], { logits: reference, logSums });
    const part = await scoreRows(pool, candidate, [4, 7], { logits: reference, logSums });
    expect(part.divergences).toEqual(all.divergences.subarray(4, 7));
    const alone = new KernelPool(1);
    expect(await scoreRows(alone, candidate, [0, 9], { logits: reference, logSums })).toEqual(all);
    await alone.close();
  });

  it('takes ids that a model rules out, and shows NaN', async () => {
    const data = Float32Array.of(1, -Infinity, 2, -Infinity, 0.5, Number.NaN, 1, 1, 1, 1);
    const logits = logitsOf({ dtype: 'float32', dims: [1, 2, 5], data }, 'test');
    const { logSums, likeliest } = await scoreRows(pool, logits, [0, 2]);
    expect(logSums[0]).toBeCloseTo(Math.log(Math.E + Math.E ** 2 + Math.E ** 0.5), 10);
    expect([...likeliest]).toEqual([2, -1]);
    expect(logSums[1]).toBeNaN();
    const { divergences } = await scoreRows(pool, logits, [0, 1], { logits, logSums });
    expect(divergences[0]).toBe(0);
  });
});

describe('scores of a window', () => {
  const ids = [0, 3, 1, 2];

  it('sum over every next-token position', async () => {
    const [a, b] = [draw(4, 5, 11), draw(4, 5, 12)];
    const reference = await scoreReference(pool, a, ids, 'a');
    const candidate = await scoreCandidate(pool, b, ids, reference, 'b');
    const positions = [0, 1, 2];
    const nll = (logits: Logits) =>
      positions.reduce((sum, at) => sum - (logSoftmax(logits.row(at))[ids[at + 1] as number] as number), 0);
    const likeliest = (logits: Logits, at: number) => logits.row(at).indexOf(Math.max(...logits.row(at)));
    expect(reference.positions).toBe(3);
    expect(reference.nll).toBeCloseTo(nll(a), 9);
    expect(candidate.nll).toBeCloseTo(nll(b), 9);
    expect(candidate.kl).toBeCloseTo(
      positions.reduce((sum, at) => sum + divergence(a.row(at), b.row(at)), 0),
      9,
    );
    expect(candidate.agreements).toBe(positions.filter((at) => likeliest(a, at) === likeliest(b, at)).length);
    expect(await scoreEnding(pool, a, ids, 2, 'a')).toBeCloseTo(
      -[1, 2].reduce((sum, at) => sum + (logSoftmax(a.row(at))[ids[at + 1] as number] as number), 0),
      9,
    );
  });

  it('read float16 logits', async () => {
    const values = Float32Array.of(0.5, -2, 3, 1, 65504, 0);
    const half = logitsOf({ dtype: 'float16', dims: [1, 2, 3], data: float32ToFloat16(values) }, 'half');
    const full = logitsOf({ dtype: 'float32', dims: [1, 2, 3], data: values }, 'full');
    const reference = await scoreReference(pool, full, [0, 1], 'full');
    expect(await scoreCandidate(pool, half, [0, 1], reference, 'half')).toEqual({
      positions: 1,
      nll: reference.nll,
      kl: 0,
      agreements: 1,
    });
  });

  it('refuse logits that do not fit', async () => {
    const logits = draw(4, 5, 1);
    const reference = await scoreReference(pool, logits, ids, 'a');
    const scored = (other: Logits, of: readonly number[] = ids) => scoreCandidate(pool, other, of, reference, 'b');
    await expect(scored(draw(4, 6, 1))).rejects.toMatchObject({ code: 'unsupported-model', at: 'b' });
    await expect(scored(draw(3, 5, 1))).rejects.toMatchObject({ code: 'unsupported-model' });
    await expect(scored(logits, [0, 5, 1, 2])).rejects.toMatchObject({ code: 'bad-ids' });
    await expect(scored(draw(4, 5, 1, Number.NaN))).rejects.toMatchObject({ code: 'runtime-failed' });
    expect(() => logitsOf({ dtype: 'float32', dims: [2, 3, 4], data: new Float32Array(24) }, 'c')).toThrow('[2,3,4]');
    expect(() => logitsOf({ dtype: 'int64', dims: [1, 1, 1], data: new BigInt64Array(1) }, 'c')).toThrow('int64');
  });
});
