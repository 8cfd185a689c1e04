/** Batches for graphs of fixed shapes: windows of one length, and as many in every batch. */
import { type Batch, startsOf, type Window } from '../../text/index.js';

/** A batch whose windows were filled up: what stands behind a window's end cannot reach back to it in a causal decoder. */
export interface FilledBatch extends Batch {
  /** Tokens of each window that count, 0 for one that only fills the batch. */
  readonly lengths: readonly number[];
  /** Number of the first of them in the text, window by window. */
  readonly starts: readonly number[];
}

/** Windows filled up to the longest, `size` in a batch; the first one stands for those that the last batch lacks. */
export function filledBatches(windows: readonly Window[], size: number): readonly FilledBatch[] {
  const length = Math.max(...windows.map((window) => window.length));
  const filled = windows.map((window) => Int32Array.from({ length }, (_, at) => window[at] ?? (window[0] as number)));
  const starts = startsOf(windows);
  return Array.from({ length: Math.ceil(windows.length / size) }, (_, index) => {
    const rows = Array.from({ length: size }, (_, at) => index * size + at);
    return {
      index,
      length,
      windows: rows.map((row) => filled[row] ?? (filled[0] as Int32Array)),
      lengths: rows.map((row) => windows[row]?.length ?? 0),
      starts: rows.map((row) => starts[row] ?? 0),
    };
  });
}

/** Calls `each` with the place of every position that counts: in the batch, and in the text. */
export function countedPositions(
  { length, lengths, starts }: FilledBatch,
  each: (inBatch: number, inText: number) => void,
): void {
  lengths.forEach((count, window) => {
    for (let at = 0; at < count; at++) each(window * length + at, (starts[window] as number) + at);
  });
}
