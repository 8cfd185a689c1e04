import { describe, expect, it } from '@jest/globals';
import type { Projection } from '../../../src/analysis/projection.js';
import type { Logits } from '../../../src/evaluate/logits.js';
import { restrictedHead, restrictLogits, VocabularyCounter } from '../../../src/mix/search/sampled-vocabulary.js';
import { float32s } from '../../../src/onnx/ir/tensor.js';
import { createRandom } from '../../../src/random.js';

const VOCABULARY = 4000;
const ROWS = 8;

/** Logits of a few likely ids above a sea of unlikely ones. */
function made(seed: number, shift = 0): Logits {
  const random = createRandom(seed);
  const data = Float32Array.from({ length: ROWS * VOCABULARY }, (_, at) => {
    const likely = (at % VOCABULARY) % 97 === 0 ? 6 : 0;
    return likely + random.normal() + shift * Math.sin(at % VOCABULARY);
  });
  return {
    positions: ROWS,
    vocabulary: VOCABULARY,
    row: (at) => data.subarray(at * VOCABULARY, (at + 1) * VOCABULARY),
  };
}

function logSum(row: Float32Array): number {
  return Math.log(row.reduce((sum, value) => sum + Math.exp(value), 0));
}

/** KL by the definition, in float64. */
function divergence(a: Logits, b: Logits): number {
  let total = 0;
  for (let at = 0; at < ROWS; at++) {
    const [p, q] = [a.row(at), b.row(at)];
    const [zp, zq] = [logSum(p), logSum(q)];
    p.forEach((value, id) => {
      total += Math.exp(value - zp) * (value - zp - (q[id] as number) + zq);
    });
  }
  return total / ROWS;
}

describe('a sampled vocabulary', () => {
  const reference = made(1);
  const counter = new VocabularyCounter(VOCABULARY);
  counter.add(
    reference,
    Float64Array.from({ length: ROWS }, (_, at) => logSum(reference.row(at))),
  );
  const sampled = counter.sample([5, 7], { size: 1000, seed: 1 });

  it('keeps the likely ids and those that must be there', () => {
    expect(sampled.ids).toHaveLength(1000);
    expect(new Set(sampled.ids).size).toBe(1000);
    for (const id of [5, 7, ...Array.from({ length: 42 }, (_, at) => 97 * at)]) expect(sampled.ids).toContain(id);
    expect([...sampled.ids]).toEqual([...sampled.ids].sort((a, b) => a - b));
    // The weights stand for the whole vocabulary.
    expect(sampled.logWeights.reduce((sum, log) => sum + Math.exp(log), 0)).toBeCloseTo(VOCABULARY, 0);
  });

  it('gives nearly the divergence of the whole, 0 for equal logits, and the log sums on average', () => {
    const [own, other] = [reference, made(1, 0.5)];
    const part = divergence(restrictLogits(own, sampled), restrictLogits(other, sampled));
    expect(part / divergence(own, other)).toBeCloseTo(1, 1);
    expect(divergence(restrictLogits(own, sampled), restrictLogits(own, sampled))).toBeCloseTo(0, 6);
    for (let at = 0; at < ROWS; at++)
      expect(logSum(restrictLogits(own, sampled).row(at))).toBeCloseTo(logSum(own.row(at)), 1);
  });

  it('takes logits of the ids alone as they come', () => {
    const whole = restrictLogits(reference, sampled);
    const rows = Array.from({ length: ROWS }, (_, at) =>
      Float32Array.from(sampled.ids, (id) => reference.row(at)[id] as number),
    );
    const alone = { positions: ROWS, vocabulary: sampled.ids.length, row: (at: number) => rows[at] as Float32Array };
    expect(restrictLogits(alone, sampled).row(3)).toEqual(whole.row(3));
  });

  it.each(['NK', 'KN'] as const)('cuts a head stored as %s', (layout) => {
    const [n, k] = [6, 3];
    const shape = layout === 'NK' ? [n, k] : [k, n];
    const values = Float32Array.from({ length: n * k }, (_, at) => at);
    const head = { id: 'head', n, k, weight: { layout, tensor: float32s(values, shape) } } as unknown as Projection;
    const cut = restrictedHead(head, Int32Array.of(1, 4));
    const found = new Float32Array(cut.bytes().slice().buffer);
    expect(cut.shape).toEqual(layout === 'NK' ? [2, 3] : [3, 2]);
    expect([...found]).toEqual(layout === 'NK' ? [3, 4, 5, 12, 13, 14] : [1, 4, 7, 10, 13, 16]);
  });
});
