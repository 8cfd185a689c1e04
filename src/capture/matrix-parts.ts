/** Gram matrices that are summed together: as many as fit the memory. */
import type { Group } from './groups.js';

/** Bytes of a matrix that is being summed, for each element: half of it in float64, five eighths in float32 from the session. */
const SUMMED = 12;
/** Matrices are summed together up to this size at least: running a segment again takes longer than they are worth. */
const LEAST_SUMMED = 2 ** 28;

/** Groups in parts whose matrices fit `memoryBytes`, each of at least one group; one empty part of none. */
export function fittingParts(groups: readonly Group[], memoryBytes = 0): readonly (readonly Group[])[] {
  const bound = Math.max(LEAST_SUMMED, memoryBytes);
  const parts: Group[][] = [[]];
  let bytes = 0;
  for (const group of groups) {
    const own = SUMMED * group.k ** 2;
    if (bytes > 0 && bytes + own > bound) {
      parts.push([]);
      bytes = 0;
    }
    parts.at(-1)?.push(group);
    bytes += own;
  }
  return parts;
}
