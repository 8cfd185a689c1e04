/**
 * Histograms of codes. Training a nested parent moves its codes to the right (MatQuant figures 1c and 4): higher codes are
 * the freedom of int8 spent on int2. One histogram of the parent gives that of every slice.
 */
import type { Precision } from './precision.js';
import { levelCount, type SliceKind, sliceTable } from './slice.js';

/** How often each code occurs; index = code. Adds to `counts` when given, so that projections can be summed. */
export function codeHistogram(codes: Uint8Array, counts: Float64Array = new Float64Array(256)): Float64Array {
  const here = new Uint32Array(256);
  for (let i = 0; i < codes.length; i++) {
    const code = codes[i] as number;
    here[code] = (here[code] as number) + 1;
  }
  for (let code = 0; code < 256; code++) counts[code] = (counts[code] as number) + (here[code] as number);
  return counts;
}

/** The histogram of a slice, from that of the parent: one count per level. */
export function sliceHistogram(parent: Float64Array, kind: SliceKind, bits: Precision): Float64Array {
  const table = sliceTable(kind, bits);
  const counts = new Float64Array(levelCount(kind, bits));
  for (let q = 0; q < 256; q++) {
    const code = table[q] as number;
    counts[code] = (counts[code] as number) + (parent[q] as number);
  }
  return counts;
}

/** The mean code as a fraction of the highest, 0…1: ½ for a symmetric parent, more after a shift to the right. */
export function meanLevel(counts: Float64Array): number {
  const total = sum(counts);
  const weighted = counts.reduce((acc, count, code) => acc + count * code, 0);
  return total === 0 ? 0 : weighted / total / (counts.length - 1);
}

/** Shannon entropy of the codes in bits: what an ideal entropy coder would store per weight. */
export function entropyBits(counts: Float64Array): number {
  const total = sum(counts);
  return counts.reduce((acc, count) => (count === 0 ? acc : acc - (count / total) * Math.log2(count / total)), 0);
}

function sum(counts: Float64Array): number {
  return counts.reduce((acc, count) => acc + count, 0);
}
