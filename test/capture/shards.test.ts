import { describe, expect, it } from '@jest/globals';
import { headerOfWindows } from '../../src/capture/capture.js';
import { joinShards, shardsOf } from '../../src/capture/shards.js';
import type { GroupStatistics, Statistics } from '../../src/capture/statistics.js';
import { batchesOf } from '../../src/text/batches.js';

/** 70 windows of 64 ids, 3 of 100, 40 of 64: batches of 32 and of 20 windows. */
const lengths = [...Array<number>(70).fill(64), 100, 100, 100, ...Array<number>(40).fill(64)];
const windows = lengths.map((length, at) => new Int32Array(length).fill(at));

describe('shards of a text', () => {
  it.each([1, 2, 3, 4, 5, 100])('are %d or fewer runs of whole batches, none of them empty', (count) => {
    const whole = batchesOf(windows).map((batch) => batch.windows);
    const shards = shardsOf(windows, count, undefined);
    expect(shards.length).toBe(Math.min(count, whole.length));
    expect(shards.every(({ length }) => length > 0)).toBe(true);
    expect(shards.flatMap((shard) => batchesOf(shard).map((batch) => batch.windows))).toEqual(whole);
    const sizes = shards.map((shard) => batchesOf(shard).length);
    expect(Math.max(...sizes) - Math.min(...sizes)).toBeLessThanOrEqual(1);
  });

  it('of a fixed batch hold so many windows', () => {
    expect(shardsOf(windows.slice(0, 10), 2, 5).map(({ length }) => length)).toEqual([5, 5]);
    expect(shardsOf([], 3, undefined)).toEqual([]);
  });
});

describe('statistics of shards', () => {
  const group = (value: number): GroupStatistics => ({
    group: 'g',
    k: 1,
    tokens: 1,
    gram: Float64Array.of(value),
    sum: Float64Array.of(value),
  });
  const of = (shard: readonly Int32Array[], value: number): Statistics => ({
    header: headerOfWindows('model', shard),
    groups: ['g'],
    load: async () => group(value),
  });

  it('are added in their order, also where two shards are the same text', async () => {
    const part = windows.slice(0, 2);
    const joined = joinShards([of(part, 1e16), of(part, 1), of(part, -1e16)], [...part, ...part, ...part]);
    expect(await joined.load('g')).toMatchObject({ tokens: 3, gram: Float64Array.of(0), sum: Float64Array.of(0) });
    expect(joined.header).toMatchObject({ windows: 6, counts: { ids: 2 } });
  });

  it('have a digest of the shards and their order; one shard is the text itself', () => {
    const [a, b] = [windows.slice(0, 1), windows.slice(1, 2)];
    const digests = [
      joinShards([of(a, 1), of(b, 1)], [...a, ...b]).header.digest,
      joinShards([of(b, 1), of(a, 1)], [...a, ...b]).header.digest,
      joinShards([of([...a, ...b], 1)], [...a, ...b]).header.digest,
    ];
    expect(new Set(digests).size).toBe(3);
    expect(digests[2]).toBe(headerOfWindows('model', [...a, ...b]).digest);
  });
});
