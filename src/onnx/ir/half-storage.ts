/** float32 tensors kept as float16: whether every value survives that, and the bytes, both made in ranges. */

import { float32ToFloat16, toFloat32 } from './half.js';
import { lazyTensor, type Tensor } from './tensor.js';

/** Bytes of a float32 tensor that are in memory at a time. */
const PIECE = 4 << 20;

/** Bit patterns of float32 without the sign: the largest finite float16, 65504, and its smallest normal number, 2^-14. */
const LARGEST = 0x477fe000;
const NORMAL = 0x38800000;

/** Square of the relative error of one rounding to float16 in its normal range, 2^-11. */
const UNIT = 2 ** -22;

/**
 * Why a float32 tensor cannot be kept as float16, or undefined when it can. Every value must be finite and at most 65504. Rounding
 * then changes a normal number by at most 2^-11 of itself. Below 2^-14 float16 loses digits, so what a row (along the last axis)
 * loses there must be at most 2^-11 of the row's norm: noise around zero may go, a row of small numbers may not.
 */
export function lossAsHalf(tensor: Tensor): string | undefined {
  const columns = tensor.shape.at(-1) ?? 1;
  const rows = new RowLoss(columns);
  for (let at = 0; at < tensor.byteLength; at += PIECE) {
    const values = toFloat32(tensor.bytes(at, Math.min(at + PIECE, tensor.byteLength)), 'float32');
    const loss = rows.add(values);
    if (loss !== undefined) return loss;
  }
  return undefined;
}

/** Goes through the values of a tensor in order, and sums squares of values and of errors row by row. */
class RowLoss {
  readonly #columns: number;
  #left: number;
  #square = 0;
  #lost = 0;

  constructor(columns: number) {
    this.#columns = columns;
    this.#left = columns;
  }

  add(values: Float32Array): string | undefined {
    const bits = new Uint32Array(values.buffer, values.byteOffset, values.length);
    let [square, lost, left] = [this.#square, this.#lost, this.#left];
    for (let i = 0; i < values.length; i++) {
      const magnitude = (bits[i] as number) & 0x7fffffff;
      const value = values[i] as number;
      if (magnitude > LARGEST) return `${value} is beyond the range of float16`;
      if (magnitude < NORMAL) lost += squaredLoss(value);
      square += value * value;
      if (--left > 0) continue;
      if (lost > square * UNIT) return `a row of norm ${Math.sqrt(square).toPrecision(3)} would lose digits`;
      [square, lost, left] = [0, 0, this.#columns];
    }
    [this.#square, this.#lost, this.#left] = [square, lost, left];
    return undefined;
  }
}

/** float16 has the multiples of 2^-24 below 2^-14. Adding and taking away 1.5 * 2^52 rounds a double to an integer, ties to even. */
function squaredLoss(value: number): number {
  const steps = value * 2 ** 24;
  const error = (steps - (steps + 1.5 * 2 ** 52 - 1.5 * 2 ** 52)) * 2 ** -24;
  return error * error;
}

/** The float16 form of a float32 tensor, rounded to nearest even when it is read. */
export function asHalf(tensor: Tensor, storage: object): Tensor {
  const read = (start: number, end: number): Uint8Array => {
    const first = start - (start % 2);
    const values = toFloat32(tensor.bytes(first * 2, (end + (end % 2)) * 2), 'float32');
    const halves = float32ToFloat16(values);
    return new Uint8Array(halves.buffer, start - first, end - start);
  };
  return lazyTensor('float16', tensor.shape, read, storage);
}
