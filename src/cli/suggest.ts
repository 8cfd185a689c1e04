/** "Did you mean …?" for a mistyped verb or option. */

/** The candidate closest to `word` when it is close enough to be a slip of the hand. */
export function nearest(word: string, candidates: readonly string[]): string | undefined {
  const ranked = candidates.map((candidate) => ({ candidate, away: distance(word, candidate) }));
  const best = ranked.sort((a, b) => a.away - b.away)[0];
  return best !== undefined && best.away <= Math.ceil(word.length / 2) ? best.candidate : undefined;
}

/** Levenshtein distance: insertions, deletions and replacements of single letters. */
function distance(from: string, to: string): number {
  let row = Array.from({ length: to.length + 1 }, (_, index) => index);
  for (let i = 1; i <= from.length; i++) {
    const next = [i];
    for (let j = 1; j <= to.length; j++) {
      const replaced = (row[j - 1] ?? 0) + (from[i - 1] === to[j - 1] ? 0 : 1);
      next.push(Math.min(replaced, (row[j] ?? 0) + 1, (next[j - 1] ?? 0) + 1));
    }
    row = next;
  }
  return row[to.length] ?? 0;
}
