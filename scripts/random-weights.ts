/**
 * Weights made of chance for generated models: as large as wanted, the same every time, written at the speed of the disk. A bank of
 * normal numbers is made once per deviation; each row of a tensor is a run of it from a place and at a scale of its own.
 */
import { DTYPES } from '../src/onnx/ir/dtype.js';
import { fromFloat32 } from '../src/onnx/ir/half.js';
import { lazyTensor, type Tensor } from '../src/onnx/ir/tensor.js';
import { createRandom } from '../src/random.js';

export type WeightDType = 'float16' | 'float32';

/** Numbers in a bank; with eight scales of float32 it takes 8 MiB. */
const BANK = 1 << 18;
/** Longest run taken from one place; longer rows are made of several. */
const RUN = 1 << 15;
/** Scales of rows relative to the deviation: the outliers that quantizers meet, mildly. Their mean square is near 1. */
const ROW_SCALES: readonly number[] = [0.5, 0.65, 0.8, 0.9, 1, 1.1, 1.25, 1.5];
/** Banks kept: one for each inner dimension of a decoder, and the embedding's. */
const KEPT = 3;

/** Makes tensors of one model; bytes appear when they are read. */
export class RandomWeights {
  readonly #dtype: WeightDType;
  readonly #normals: Float32Array;
  readonly #banks: Map<number, readonly Uint8Array[]> = new Map();
  #tensors = 0;

  constructor(seed: number, dtype: WeightDType) {
    const random = createRandom(seed);
    this.#dtype = dtype;
    this.#normals = Float32Array.from({ length: BANK }, () => random.normal());
  }

  /** A matrix [rows, columns] with elements of about the given deviation. */
  matrix(rows: number, columns: number, deviation: number): Tensor {
    const width = DTYPES[this.#dtype].bits / 8;
    const seed = ++this.#tensors;
    return lazyTensor(this.#dtype, [rows, columns], (start, end) => {
      const target = new Uint8Array(end - start);
      const source = this.#bank(deviation);
      const step = Math.min(columns, RUN) * width;
      for (let at = start; at < end; ) {
        const row = Math.floor(at / (columns * width));
        const inRow = at - row * columns * width;
        const piece = Math.floor(inRow / step);
        const inPiece = inRow - piece * step;
        const length = Math.min(step - inPiece, columns * width - inRow, end - at);
        const scaled = source[mix(seed, row, 0) % ROW_SCALES.length] as Uint8Array;
        const from = (mix(seed, row, piece + 1) % (BANK - RUN)) * width + inPiece;
        target.set(scaled.subarray(from, from + length), at - start);
        at += length;
      }
      return target;
    });
  }

  #bank(deviation: number): readonly Uint8Array[] {
    const known = this.#banks.get(deviation);
    if (known !== undefined) return known;
    const [oldest] = this.#banks.keys();
    if (this.#banks.size >= KEPT && oldest !== undefined) this.#banks.delete(oldest);
    const made = ROW_SCALES.map((scale) => {
      const values = this.#normals.map((value) => value * deviation * scale);
      return fromFloat32(values, this.#dtype);
    });
    this.#banks.set(deviation, made);
    return made;
  }
}

/** Three numbers to one of 32 bits (the finalizer of MurmurHash3 over their sum of products). */
function mix(a: number, b: number, c: number): number {
  let word = Math.imul(a, 0x9e3779b1) ^ Math.imul(b + 1, 0x85ebca6b) ^ Math.imul(c + 1, 0xc2b2ae35);
  word = Math.imul(word ^ (word >>> 16), 0x85ebca6b);
  word = Math.imul(word ^ (word >>> 13), 0xc2b2ae35);
  return (word ^ (word >>> 16)) >>> 0;
}
