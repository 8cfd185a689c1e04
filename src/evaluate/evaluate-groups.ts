/** Which candidates are open at the same time. */

/** Open models take more than their files: prepacked weights and working memory. Measured 1.1 to 1.7 on Gemma 3 270M. */
const MEMORY_PER_FILE_BYTE = 1.5;

/**
 * Groups of candidates, in order, such that the reference and a group fit `memory` bytes together by the size of their files.
 * A candidate that fits with nothing is a group of its own. No candidates give one empty group, for the reference alone.
 */
export function groupsOf(
  candidates: readonly string[],
  reference: string,
  bytes: (path: string) => number,
  memory: number,
): readonly (readonly string[])[] {
  const need = (path: string): number => bytes(path) * MEMORY_PER_FILE_BYTE;
  const groups: string[][] = [[]];
  let used = need(reference);
  for (const candidate of candidates) {
    const group = groups.at(-1) as string[];
    if (group.length > 0 && used + need(candidate) > memory) {
      groups.push([candidate]);
      used = need(reference) + need(candidate);
    } else {
      group.push(candidate);
      used += need(candidate);
    }
  }
  return groups;
}
