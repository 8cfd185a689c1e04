/** Tensors are a type, a shape and borrowed bytes: nothing is read until someone asks for numbers. */
import { byteLengthOf, type DType, elementCount } from './dtype.js';
import { type FloatDType, fromFloat32 } from './half.js';

export interface Tensor {
  readonly dtype: DType;
  /** Dimensions, outermost first; [] is a scalar. */
  readonly shape: readonly number[];
  /** Length of the raw little-endian bytes. */
  readonly byteLength: number;
  /**
   * Raw bytes [start, end) in ONNX `raw_data` layout. A view when they are in memory, a fresh read when they are on disk:
   * callers must not write to them, and should ask for ranges when the tensor is large. Fresh bytes may be put into the beginning
   * of `into`, which then saves memory that the kernel would have to clear.
   */
  bytes(start?: number, end?: number, into?: Uint8Array): Uint8Array;
  /** Tensors that share one range of bytes share this object; exporting writes such a range once. */
  readonly storage: object;
  /** Strings of a `string` tensor; undefined for every other type. */
  readonly strings?: readonly Uint8Array[];
}

/** A tensor over bytes in memory. The bytes are borrowed, not copied. */
export function tensorOf(dtype: DType, shape: readonly number[], data: ArrayBufferView): Tensor {
  const view = new Uint8Array(data.buffer as ArrayBuffer, data.byteOffset, data.byteLength);
  const expected = byteLengthOf(dtype, shape);
  if (view.byteLength !== expected) {
    throw new RangeError(`tensor [${shape}] of ${dtype} takes ${expected} bytes, got ${view.byteLength}`);
  }
  return {
    dtype,
    shape,
    byteLength: expected,
    bytes: (start = 0, end = expected) => view.subarray(start, end),
    storage: view,
  };
}

/** A tensor whose bytes are made on demand: `read` returns exactly the bytes [start, end). */
export function lazyTensor(
  dtype: DType,
  shape: readonly number[],
  read: (start: number, end: number, into?: Uint8Array) => Uint8Array,
  storage: object = {},
): Tensor {
  const byteLength = byteLengthOf(dtype, shape);
  return { dtype, shape, byteLength, bytes: (start = 0, end = byteLength, into?) => read(start, end, into), storage };
}

/** The same bytes under another shape of as many elements; exporting writes both once. */
export function reshaped(tensor: Tensor, shape: readonly number[]): Tensor {
  if (elementCount(shape) !== elementCount(tensor.shape))
    throw new RangeError(`[${tensor.shape}] cannot be seen as [${shape}]`);
  return lazyTensor(tensor.dtype, shape, (start, end, into) => tensor.bytes(start, end, into), tensor.storage);
}

/** Rows [from, to) of the first axis under another shape of as many elements: a view of the same bytes. */
export function rowsOf(tensor: Tensor, from: number, to: number, shape: readonly number[]): Tensor {
  const row = tensor.byteLength / (tensor.shape[0] as number);
  const [start, end] = [from * row, to * row];
  return lazyTensor(tensor.dtype, shape, (first, last, into) =>
    tensor.bytes(start + first, Math.min(end, start + last), into),
  );
}

/** A one-dimensional int64 tensor, the form of shapes, axes and pads. */
export function int64s(values: readonly number[]): Tensor {
  return tensorOf('int64', [values.length], BigInt64Array.from(values, BigInt));
}

/** An int64 scalar. */
export function int64Scalar(value: number): Tensor {
  return tensorOf('int64', [], BigInt64Array.of(BigInt(value)));
}

/** A float32 tensor; the shape defaults to one dimension. */
export function float32s(values: Float32Array, shape: readonly number[] = [values.length]): Tensor {
  return tensorOf('float32', shape, values);
}

/** A float32 scalar. */
export function float32Scalar(value: number): Tensor {
  return tensorOf('float32', [], Float32Array.of(value));
}

/** A scalar of any float type. */
export function floatScalar(value: number, dtype: FloatDType): Tensor {
  return tensorOf(dtype, [], fromFloat32(Float32Array.of(value), dtype));
}

/** Number of elements. */
export function sizeOf(tensor: Tensor): number {
  return elementCount(tensor.shape);
}
