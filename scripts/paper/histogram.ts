/** How often each leading code occurs in a set: the paper finds that MatQuant moves codes to larger values (figure 1c). */
import { join } from 'node:path';
import { codesAt, openSet, placesOf, SetTensors } from '../../src/set/index.js';

/** Shares of the codes whose leading `bits` bits are 0, 1, … of all projections of a set that stores this precision. */
export function histogram(manifest: string, bits: 2 | 4): readonly number[] {
  const { manifest: set, folder } = openSet(manifest);
  const tensors = new SetTensors(set.data, join(folder, set.data));
  try {
    const counts = new Float64Array(2 ** bits);
    const reader = tensors.reader(set.layout);
    for (const place of placesOf(set.layout).values())
      for (const code of codesAt(reader, place, bits)) counts[code] = (counts[code] as number) + 1;
    const total = counts.reduce((sum, count) => sum + count);
    return Array.from(counts, (count) => count / total);
  } finally {
    tensors.close();
  }
}

/** Mean code as a share of the largest one: .5 where codes lie evenly. */
export const meanLevel = (shares: readonly number[]): number =>
  shares.reduce((sum, share, code) => sum + share * code, 0) / (shares.length - 1);
