/** Whether two weights hold the same matrix, compared in pieces: an embedding of 262,144 rows and its copy are 1.3 GB. */
import { DTYPES, type DType } from '../onnx/ir/dtype.js';
import { toFloat32, WITHIN_FLOAT32 } from '../onnx/ir/half.js';
import type { Tensor } from '../onnx/ir/tensor.js';
import type { Weight } from './projection.js';

/** Bytes of one piece of either tensor that are in memory at a time. */
const PIECE = 8 << 20;

/** Rows compared before everything is: unequal weights differ in the first of them. */
const PROBES = 4;

/** Answers by storage; comparing twice would read everything twice. */
const known = new WeakMap<object, WeakMap<object, boolean>>();

/**
 * True when both weights are the same matrix [K, N], bit for bit, whatever their layouts. Same layout and same bytes count too,
 * and float16 beside the same values in float32, which is how optimum writes Gemma with fp16.
 * A few rows are compared first, then all, in pieces of a few megabytes.
 */
export function isTransposedCopy(a: Weight, b: Weight): boolean {
  const answers = known.get(a.tensor.storage) ?? new WeakMap<object, boolean>();
  known.set(a.tensor.storage, answers);
  const answer = answers.get(b.tensor.storage) ?? compare(a, b);
  answers.set(b.tensor.storage, answer);
  return answer;
}

function compare(a: Weight, b: Weight): boolean {
  if (!areComparable(a.tensor.dtype, b.tensor.dtype)) return false;
  const flipped = a.layout !== b.layout;
  const shape = flipped ? b.tensor.shape.toReversed() : b.tensor.shape;
  const [rows = 0, columns = 0] = a.tensor.shape;
  if (String(shape) !== String(a.tensor.shape)) return false;
  const [widthA, widthB] = [widthOf(a.tensor), widthOf(b.tensor)];
  const step = Math.max(1, Math.floor(PIECE / (columns * Math.max(widthA, widthB))));
  const same = (from: number, to: number): boolean => {
    let left = a.tensor.bytes(from * columns * widthA, to * columns * widthA);
    let right = flipped
      ? columnsOf(b.tensor, from, to, widthB)
      : b.tensor.bytes(from * columns * widthB, to * columns * widthB);
    if (a.tensor.dtype !== b.tensor.dtype) [left, right] = [widened(left, a.tensor), widened(right, b.tensor)];
    const width = left.length / ((to - from) * columns);
    return flipped ? isTranspose(left, right, to - from, columns, width) : Buffer.compare(left, right) === 0;
  };
  for (let probe = 0; probe < PROBES; probe++) {
    const row = Math.floor((probe * (rows - 1)) / (PROBES - 1));
    if (!same(row, row + 1)) return false;
  }
  for (let from = 0; from < rows; from += step) if (!same(from, Math.min(from + step, rows))) return false;
  return true;
}

const areComparable = (a: DType, b: DType): boolean => a === b || (WITHIN_FLOAT32.has(a) && WITHIN_FLOAT32.has(b));

const widthOf = ({ dtype }: Tensor): number => DTYPES[dtype].bits / 8;

/** The elements as float32, which holds them exactly. */
function widened(bytes: Uint8Array, { dtype }: Tensor): Uint8Array {
  const { buffer, byteOffset, byteLength } = toFloat32(bytes, dtype);
  return new Uint8Array(buffer, byteOffset, byteLength);
}

/** Columns [from, to) of a stored matrix [R, C], as rows of a piece [R, to - from]. */
function columnsOf(tensor: Tensor, from: number, to: number, width: number): Uint8Array {
  const [rows = 0, columns = 0] = tensor.shape;
  const piece = new Uint8Array(rows * (to - from) * width);
  for (let row = 0; row < rows; row++) {
    const start = row * columns * width;
    piece.set(tensor.bytes(start + from * width, start + to * width), row * (to - from) * width);
  }
  return piece;
}

/** Elements as integers, so that NaN equals itself and -0 differs from 0. */
function elements(bytes: Uint8Array, width: number): Uint8Array | Uint16Array | Uint32Array {
  const aligned = bytes.byteOffset % 4 === 0 ? bytes : bytes.slice();
  if (width === 4) return new Uint32Array(aligned.buffer, aligned.byteOffset, aligned.byteLength / 4);
  if (width === 2) return new Uint16Array(aligned.buffer, aligned.byteOffset, aligned.byteLength / 2);
  return aligned;
}

function isTranspose(left: Uint8Array, right: Uint8Array, rows: number, columns: number, width: number): boolean {
  const [a, b] = [elements(left, width), elements(right, width)];
  for (let row = 0; row < rows; row++) {
    for (let column = 0; column < columns; column++) {
      if (a[row * columns + column] !== b[column * rows + row]) return false;
    }
  }
  return true;
}
