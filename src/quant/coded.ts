/**
 * Codes of other quantizers as float tensors: (code - zero) · scale, computed when a range is read. The forms are those of
 * DequantizeLinear (ONNX), MatMulNBits and GatherBlockQuantized (ONNX Runtime).
 */
import { DTYPES } from '../onnx/ir/dtype.js';
import { type FloatDType, fromFloat32, toFloat32, WITHIN_FLOAT32 } from '../onnx/ir/half.js';
import { lazyTensor, type Tensor } from '../onnx/ir/tensor.js';

/** Codes, and which scale and zero each has. All numbers count elements. */
export interface Coded {
  /** Shape of the float tensor. */
  readonly shape: readonly number[];
  /** Packed codes in the order of the elements, the first in the lowest bits. */
  readonly codes: Tensor;
  readonly bits: 2 | 4 | 8 | 32;
  readonly signed: boolean;
  /** float32, float16 or bfloat16: also the type of the result. */
  readonly scales: Tensor;
  /** How elements find their scales: equal for two of one shape where `scaleAt` is the same function. */
  readonly grouping: string;
  /** Index of the scale of an element. */
  scaleAt(element: number): number;
  /** The scales of elements [from, to), and perhaps some more. */
  scaleRange(from: number, to: number): readonly [from: number, to: number];
  /** The zero of a scale; a constant by default. */
  readonly zeros?: Zeros | undefined;
  readonly zero: number;
  /** Codes from one row of the last dimension to the next, and elements of such a row; rows are padded to whole blocks. */
  readonly rowCodes: number;
  readonly rowElements: number;
}

/** Zeros that are stored: packed codes, or floats. */
export interface Zeros {
  readonly tensor: Tensor;
  readonly bits: number;
  readonly signed: boolean;
  /** Codes from one row of scales to the next, and scales of a row. */
  readonly rowCodes: number;
  readonly rowScales: number;
}

/** True where two readings of the same codes give the same tensor. */
export const isSameReading = (a: Coded, b: Coded): boolean =>
  a.scales === b.scales &&
  a.zeros?.tensor === b.zeros?.tensor &&
  (['bits', 'signed', 'zero', 'grouping', 'rowCodes'] as const).every((key) => a[key] === b[key]) &&
  a.shape.join() === b.shape.join();

/** The float tensor of codes; nothing is computed before it is read. */
export function decodedTensor(coded: Coded): Tensor {
  const dtype = coded.scales.dtype as FloatDType;
  const width = DTYPES[dtype].bits / 8;
  return lazyTensor(dtype, coded.shape, (start, end) => {
    const [from, to] = [Math.floor(start / width), Math.ceil(end / width)];
    const bytes = fromFloat32(decoded(coded, from, to), dtype);
    return bytes.subarray(start - from * width, end - from * width);
  });
}

/** Elements [from, to). */
function decoded(coded: Coded, from: number, to: number): Float32Array {
  const values = new Float32Array(to - from);
  if (values.length === 0) return values;
  const { rowCodes, rowElements, scaleAt, zero } = coded;
  const codeAt = (element: number): number => Math.floor(element / rowElements) * rowCodes + (element % rowElements);
  const codes = new CodeReader(coded, codeAt(from), codeAt(to - 1) + 1);
  const [low, high] = coded.scaleRange(from, to);
  const scales = floatsOf(coded.scales, low, high);
  const zeros = coded.zeros === undefined ? undefined : zerosOf(coded.zeros, low, high);
  for (let element = from; element < to; element++) {
    const at = scaleAt(element) - low;
    values[element - from] = (codes.read(codeAt(element)) - (zeros?.[at] ?? zero)) * (scales[at] as number);
  }
  return values;
}

function floatsOf(tensor: Tensor, from: number, to: number): Float32Array {
  const width = DTYPES[tensor.dtype].bits / 8;
  return toFloat32(tensor.bytes(from * width, to * width), tensor.dtype);
}

function zerosOf({ tensor, bits, signed, rowCodes, rowScales }: Zeros, from: number, to: number): Float32Array {
  if (WITHIN_FLOAT32.has(tensor.dtype)) return floatsOf(tensor, from, to);
  const codeAt = (scale: number): number => Math.floor(scale / rowScales) * rowCodes + (scale % rowScales);
  const reader = new CodeReader({ codes: tensor, bits, signed }, codeAt(from), codeAt(to - 1) + 1);
  return Float32Array.from({ length: to - from }, (_, at) => reader.read(codeAt(from + at)));
}

/** Codes [from, to) of a packed tensor, by index. */
class CodeReader {
  readonly #view: DataView;
  readonly #bits: number;
  readonly #signed: boolean;
  readonly #first: number;

  constructor(
    { codes, bits, signed }: { readonly codes: Tensor; readonly bits: number; readonly signed: boolean },
    from: number,
    to: number,
  ) {
    this.#first = Math.floor((from * bits) / 8);
    const bytes = codes.bytes(this.#first, Math.min(codes.byteLength, Math.ceil((to * bits) / 8)));
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    this.#bits = bits;
    this.#signed = signed;
  }

  read(index: number): number {
    const bit = index * this.#bits - 8 * this.#first;
    if (this.#bits === 32) return this.#view.getInt32(bit / 8, true);
    const span = 1 << this.#bits;
    // Bits of a large tensor are more than 2^31, so that `bit >> 3` is another number.
    const code = (this.#view.getUint8(Math.floor(bit / 8)) >> (bit % 8)) & (span - 1);
    return this.#signed && code >= span / 2 ? code - span : code;
  }
}
