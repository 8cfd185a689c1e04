/** Tensors as text: every element when there are few, else how many and a digest. */
import { createHash } from 'node:crypto';
import { DTYPES, type DType } from './dtype.js';
import { sizeOf, type Tensor } from './tensor.js';

/** Tensors with more elements than this are not spelled out. */
const MAX_ELEMENTS = 16;

/** Bytes digested at a time. */
const PIECE = 1 << 22;

/** `{1, 2.5}`, or `{24 elements, sha256 0123456789ab}`. */
export function printElements(tensor: Tensor, digests: boolean): string {
  const size = sizeOf(tensor);
  const read = READERS[tensor.dtype];
  if (size > MAX_ELEMENTS || read === undefined) {
    return `{${size} elements${digests ? `, sha256 ${digestOf(tensor)}` : ''}}`;
  }
  const bytes = tensor.bytes();
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const width = DTYPES[tensor.dtype].bits / 8;
  return `{${Array.from({ length: size }, (_, index) => printNumber(read(view, index * width))).join(', ')}}`;
}

/** `float[2, 3]`; a scalar is the bare type. */
export function printTensorType({ dtype, shape }: Tensor): string {
  return `${typeName(dtype)}${shape.length === 0 ? '' : `[${shape.join(', ')}]`}`;
}

/** Element types are spelled as here, but for the two that the text syntax calls otherwise. */
export function typeName(dtype: DType): string {
  const names: Partial<Record<DType, string>> = { float32: 'float', float64: 'double' };
  return names[dtype] ?? dtype;
}

/** A float32 in its shortest decimal form. */
export function printNumber(value: number | bigint): string {
  if (typeof value === 'bigint' || Number.isInteger(value) || !Number.isFinite(value)) return String(value);
  for (let digits = 1; digits < 9; digits++) {
    const text = value.toPrecision(digits);
    if (Math.fround(Number(text)) === Math.fround(value)) return String(Number(text));
  }
  return String(value);
}

function digestOf(tensor: Tensor): string {
  const hash = createHash('sha256');
  for (let at = 0; at < tensor.byteLength; at += PIECE) {
    hash.update(tensor.bytes(at, Math.min(at + PIECE, tensor.byteLength)));
  }
  return hash.digest('hex').slice(0, 12);
}

type Reader = (view: DataView, at: number) => number | bigint;

const READERS: Partial<Record<DType, Reader>> = {
  float32: (view, at) => view.getFloat32(at, true),
  float64: (view, at) => view.getFloat64(at, true),
  int64: (view, at) => view.getBigInt64(at, true),
  uint64: (view, at) => view.getBigUint64(at, true),
  int32: (view, at) => view.getInt32(at, true),
  uint32: (view, at) => view.getUint32(at, true),
  int16: (view, at) => view.getInt16(at, true),
  uint16: (view, at) => view.getUint16(at, true),
  int8: (view, at) => view.getInt8(at),
  uint8: (view, at) => view.getUint8(at),
  bool: (view, at) => view.getUint8(at),
};
