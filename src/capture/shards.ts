/**
 * Shards of a calibration text: contiguous runs of its batches, whose statistics are captured apart and added up in their order. The
 * sums of one run over the text and those of its shards differ in the last digits, so the number of shards is part of the digest.
 */
import { createHash } from 'node:crypto';
import { batchesOf } from '../text/index.js';
import { countText } from './evidence.js';
import { type GroupStatistics, headerOf, mergeGroups, type Statistics } from './statistics.js';

/**
 * Windows cut at batch boundaries into at most `count` shards of about as many batches each, none of them empty. `batch`: windows that
 * the model takes at a time, where it is fixed.
 */
export function shardsOf(
  windows: readonly Int32Array[],
  count: number,
  batch: number | undefined,
): readonly (readonly Int32Array[])[] {
  if (count === 1 || windows.length === 0) return windows.length === 0 ? [] : [windows];
  const batches = batchesOf(windows, batch).map((each) => each.windows as readonly Int32Array[]);
  const shards = Math.min(count, batches.length);
  const bound = (at: number): number => Math.floor((at * batches.length) / shards);
  return Array.from({ length: shards }, (_, at) => batches.slice(bound(at), bound(at + 1)).flat());
}

/** The statistics of a whole text from those of its shards, added group by group in their order when one is asked for. */
export function joinShards(shards: readonly Statistics[], windows: readonly Int32Array[]): Statistics {
  const [first, ...others] = shards as readonly [Statistics, ...Statistics[]];
  if (others.length === 0) return first;
  const text = createHash('sha256').update(`${shards.length} shards`);
  for (const { header } of shards) text.update(`\n${header.text}`);
  const header = headerOf({
    ...first.header,
    text: text.digest('hex'),
    windows: windows.length,
    tokens: windows.reduce((total, window) => total + window.length, 0),
    counts: countText(windows),
  });
  const load = async (group: string): Promise<GroupStatistics> => {
    let total = await first.load(group);
    for (const shard of others) total = mergeGroups(total, await shard.load(group));
    return total;
  };
  return { header, groups: first.groups, load };
}
