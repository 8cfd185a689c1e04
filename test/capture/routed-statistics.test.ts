/** Statistics of experts that few tokens go to. */
import { describe, expect, it } from '@jest/globals';
import { shrinkRouted } from '../../src/capture/routed-statistics.js';
import { type GroupStatistics, hessianOf, type Statistics } from '../../src/capture/statistics.js';

const K = 2;
const header = {
  version: 1,
  digest: 'd',
  model: 'm',
  text: 't',
  windows: 1,
  tokens: 100,
  firstWeight: 1,
  counts: { contexts: 100, ids: 50 },
};

/** Second moments times rows. */
function group(name: string, tokens: number, moments: readonly [number, number, number]): GroupStatistics {
  const gram = Float64Array.from(moments, (value) => value * tokens);
  return { group: name, k: K, tokens, gram, sum: Float64Array.of(tokens, 0) };
}

const of = (...all: GroupStatistics[]): Statistics => ({
  header,
  groups: all.map((each) => each.group),
  load: async (name) => all.find((each) => each.group === name) as GroupStatistics,
});

/** Half the weight for a tenth of the rows, all of it from half of them on. */
const weightOf = (_: number, share: number): number => (share >= 0.5 ? 1 : 5 * share);

describe('shrinkRouted', () => {
  const dense = group('layers.0.attention-in', 100, [3, 1, 2]);
  const often = group('layers.0.ffn-in', 90, [4, 0, 1]);
  const rare = group('layers.0.ffn-in.2', 10, [0, 0, 9]);
  const down = group('layers.0.down-in.2', 10, [6, 1, 2]);
  const other = group('layers.1.ffn-in', 10, [50, 0, 50]);
  const shrunk = shrinkRouted(of(dense, often, rare, down, other), weightOf);

  it('keeps what all rows or many went into', async () => {
    expect(await shrunk.load(dense.group)).toBe(dense);
    expect(await shrunk.load(often.group)).toBe(often);
    expect(shrunk.header.digest).toBe('d');
  });

  it('moves the moments of a rare expert towards those of all experts of its layer', async () => {
    const found = await shrunk.load(rare.group);
    // All experts together: 90 rows of [4, 0, 1] and 10 of [0, 0, 9], half of it beside half of its own.
    expect([...hessianOf(found)]).toEqual([0.5 * 3.6, 0, 0, 0.5 * 9 + 0.5 * 1.8]);
    expect(found.tokens).toBe(10);
  });

  it('moves what is behind its activation towards independent inputs of the same size', async () => {
    const found = await shrunk.load(down.group);
    expect([...hessianOf(found)]).toEqual([0.5 * 6 + 0.5 * 4, 0.5, 0.5, 0.5 * 2 + 0.5 * 4]);
  });

  it('takes an expert that nothing reached from its layer alone', async () => {
    const never: GroupStatistics = { ...group('layers.0.ffn-in.3', 1, [1, 0, 1]), sum: new Float64Array(K) };
    const found = await shrinkRouted(of(often, never), () => 0.5).load(never.group);
    expect([...hessianOf(found)]).toEqual([4, 0, 0, 1]);
    const alone = await shrinkRouted(of(dense, never), () => 0.5).load(never.group);
    expect([...hessianOf(alone)]).toEqual([1, 0, 0, 1]);
  });
});
