/**
 * Text to distil on. Training graphs have fixed shapes, so every window is filled up to the longest: what stands behind a
 * window's end cannot reach back to it in a causal decoder, and counts for nothing in the loss.
 */
import type { Batch, Window } from '../../text/index.js';

/** Windows of one length with the weight of each position in the loss. */
export interface Example extends Batch {
  /** Numbers of the windows in the text. */
  readonly rows: readonly number[];
  /** [windows · length]; the weights of an example add up to 1. */
  readonly share: Float32Array;
  /** Positions that count. */
  readonly positions: number;
}

/** The next id of every position that counts and has one, and the weights of those, which add up to 1. */
export function labelsOf({ windows, length, share }: Example): {
  readonly ids: number[];
  readonly share: Float32Array;
} {
  const hasNext = share.map((weight, at) =>
    weight > 0 && (at + 1) % length !== 0 && (share[at + 1] as number) > 0 ? 1 : 0,
  );
  const count = hasNext.reduce((sum, each) => sum + each, 0);
  const ids = windows.flatMap((window) => Array.from({ length }, (_, at) => window[at + 1] ?? 0));
  return { ids, share: hasNext.map((each) => each / count) };
}

export class DistillText {
  readonly length: number;
  /** Windows filled up to `length`. */
  readonly windows: readonly Int32Array[];
  readonly #lengths: readonly number[];

  constructor(windows: readonly Window[]) {
    this.length = Math.max(...windows.map((window) => window.length));
    this.#lengths = windows.map((window) => window.length);
    this.windows = windows.map((window) => {
      const filled = new Int32Array(this.length).fill(window[0] as number);
      filled.set(Array.from(window));
      return filled;
    });
  }

  /** `size` windows: those of `rows`, and repetitions without weight where there are fewer. */
  example(rows: readonly number[], size: number): Example {
    const filled = Array.from({ length: size }, (_, at) => rows[at] ?? (rows[0] as number));
    const lengths = filled.map((row, at) => (at < rows.length ? (this.#lengths[row] as number) : 0));
    const positions = lengths.reduce((sum, length) => sum + length, 0);
    const share = new Float32Array(size * this.length);
    lengths.forEach((length, at) => {
      share.fill(1 / positions, at * this.length, at * this.length + length);
    });
    const windows = filled.map((row) => this.windows[row] as Int32Array);
    return { index: 0, windows, length: this.length, rows: filled, share, positions };
  }

  /** All of `rows`, a few windows at a time. */
  examples(rows: readonly number[], size: number): readonly Example[] {
    return Array.from({ length: Math.ceil(rows.length / size) }, (_, at) =>
      this.example(rows.slice(at * size, (at + 1) * size), size),
    );
  }
}

/** The ids that the loss is taken over: all that occur in the windows, and others by even steps until there are `count`. */
export function vocabularyOf(windows: readonly Window[], vocabulary: number, count: number): Int32Array | undefined {
  if (count >= vocabulary) return undefined;
  const taken = new Uint8Array(vocabulary);
  for (const window of windows) for (let at = 0; at < window.length; at++) taken[window[at] as number] = 1;
  const missing = Math.max(0, count - taken.reduce((sum, each) => sum + each, 0));
  const stride = Math.max(1, Math.floor(vocabulary / Math.max(1, missing)));
  for (let id = 0, left = missing; id < vocabulary && left > 0; id += stride) {
    if (taken[id] === 0) left--;
    taken[id] = 1;
  }
  return Int32Array.from([...taken.keys()].filter((id) => taken[id] === 1));
}
