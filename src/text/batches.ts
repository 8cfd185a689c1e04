/** Windows of token ids put together into batches of equal length. */
import { fail } from '../diagnostics.js';

export type Window = ArrayLike<number>;

export interface Batch {
  readonly index: number;
  /** All of one length. */
  readonly windows: readonly Window[];
  readonly length: number;
}

/** Tokens of a batch when nobody asks for a number of windows: enough rows for fast products, small enough for memory. */
const TOKENS_PER_BATCH = 2048;

/** Batches of at most `size` windows; lengths in the order in which they first occur, windows in their own order. */
export function batchesOf(windows: readonly Window[], size?: number): readonly Batch[] {
  const byLength = new Map<number, Window[]>();
  for (const window of windows) {
    if (window.length === 0) fail('empty-text', 'calibration text', 'a window has no tokens');
    byLength.set(window.length, [...(byLength.get(window.length) ?? []), window]);
  }
  const groups = [...byLength].flatMap(([length, same]) => {
    const step = size ?? Math.max(1, Math.floor(TOKENS_PER_BATCH / length));
    return Array.from({ length: Math.ceil(same.length / step) }, (_, at) => ({
      length,
      windows: same.slice(at * step, (at + 1) * step),
    }));
  });
  return groups.map((group, index) => ({ index, ...group }));
}

/** Square roots of the weights of a batch's rows: 1, and for the first position of each window √firstWeight. */
export function rowScaleOf({ windows, length }: Batch, firstWeight: number): Float32Array {
  const scale = new Float32Array(windows.length * length).fill(1);
  for (let at = 0; at < scale.length; at += length) scale[at] = Math.sqrt(firstWeight);
  return scale;
}

/** Sum of the weights of a batch's rows. */
export function weightOf({ windows, length }: Batch, firstWeight: number): number {
  return windows.length * (length - 1 + firstWeight);
}
