/** Last hidden states of a batch on their way through the head. */
import { fail } from '../../diagnostics.js';
import { type Feeds, floats, type HostTensor } from '../../runtime/runtime.js';
import { countedPositions, type FilledBatch } from './filled-batches.js';
import { COUNTED, DRAWS } from './sampled-head.js';

/** Error code `unsupported-model` where the rows of a projection are not the tokens of its batch. */
export function requireRows(id: string, rows: number, { windows, length }: FilledBatch): void {
  if (rows !== windows.length * length)
    fail(
      'unsupported-model',
      id,
      'Tokens are weighed where every token reaches a projection, and here routing chooses',
    );
}

/** One batch of last hidden states, taken through the head some rows at a time. */
export class HeadBatch {
  readonly rows: number;
  readonly dims: readonly number[];
  readonly gradient: Float32Array;
  /** Mean squares of the gradient by the logits, [rows]; 0 where the head is not weighed. */
  readonly squares: Float32Array;
  readonly #hidden: Float32Array;
  readonly #draws: Float32Array;
  readonly #counted: Float32Array;
  readonly #width: number;

  constructor({ dims, data }: HostTensor, batch: FilledBatch, width: number, draws: Float32Array) {
    this.rows = data.length / width;
    this.dims = dims;
    requireRows('head', this.rows, batch);
    this.gradient = new Float32Array(data.length);
    this.squares = new Float32Array(this.rows);
    this.#hidden = data as Float32Array;
    this.#width = width;
    this.#draws = new Float32Array(this.rows);
    this.#counted = new Float32Array(this.rows);
    countedPositions(batch, (inBatch, inText) => {
      this.#draws[inBatch] = draws[inText] as number;
      this.#counted[inBatch] = 1;
    });
  }

  /** `count` rows from `start`, zeros behind the last. */
  feeds(name: string, start: number, count: number, rank: number): Feeds {
    const some = (data: Float32Array, width: number): HostTensor => {
      const part = new Float32Array(count * width);
      part.set(data.subarray(start * width, (start + count) * width));
      return floats(part, rank > 2 ? [1, count, width] : [count, width]);
    };
    return {
      [name]: some(this.#hidden, this.#width),
      [DRAWS]: some(this.#draws, 1),
      [COUNTED]: some(this.#counted, 1),
    };
  }

  /** Notes what came back for the rows from `start`. */
  take(start: number, [gradient, squares]: readonly [Float32Array, Float32Array?]): void {
    const count = Math.min(gradient.length / this.#width, this.rows - start);
    this.gradient.set(gradient.subarray(0, count * this.#width), start * this.#width);
    if (squares !== undefined) this.squares.set(squares.subarray(0, count), start);
  }
}
