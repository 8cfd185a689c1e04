/** Element types of ONNX tensors (onnx.proto, `TensorProto.DataType`), with their widths. */

export type DType =
  | 'float32'
  | 'uint8'
  | 'int8'
  | 'uint16'
  | 'int16'
  | 'int32'
  | 'int64'
  | 'string'
  | 'bool'
  | 'float16'
  | 'float64'
  | 'uint32'
  | 'uint64'
  | 'complex64'
  | 'complex128'
  | 'bfloat16'
  | 'float8e4m3fn'
  | 'float8e4m3fnuz'
  | 'float8e5m2'
  | 'float8e5m2fnuz'
  | 'uint4'
  | 'int4'
  | 'float4e2m1'
  | 'float8e8m0'
  | 'uint2'
  | 'int2';

/** One row of the element type table: the ONNX number and the width in bits (0 for strings). */
export interface DTypeInfo {
  readonly onnx: number;
  readonly bits: number;
  readonly isFloat: boolean;
}

const row = (onnx: number, bits: number, isFloat = false): DTypeInfo => ({ onnx, bits, isFloat });

export const DTYPES: Record<DType, DTypeInfo> = {
  float32: row(1, 32, true),
  uint8: row(2, 8),
  int8: row(3, 8),
  uint16: row(4, 16),
  int16: row(5, 16),
  int32: row(6, 32),
  int64: row(7, 64),
  string: row(8, 0),
  bool: row(9, 8),
  float16: row(10, 16, true),
  float64: row(11, 64, true),
  uint32: row(12, 32),
  uint64: row(13, 64),
  complex64: row(14, 64),
  complex128: row(15, 128),
  bfloat16: row(16, 16, true),
  float8e4m3fn: row(17, 8, true),
  float8e4m3fnuz: row(18, 8, true),
  float8e5m2: row(19, 8, true),
  float8e5m2fnuz: row(20, 8, true),
  uint4: row(21, 4),
  int4: row(22, 4),
  float4e2m1: row(23, 4, true),
  float8e8m0: row(24, 8, true),
  uint2: row(25, 2),
  int2: row(26, 2),
};

const BY_NUMBER: ReadonlyMap<number, DType> = new Map(
  (Object.entries(DTYPES) as [DType, DTypeInfo][]).map(([name, info]) => [info.onnx, name]),
);

/** The element type with this ONNX number, or undefined for a number this version does not know. */
export function dtypeOf(onnx: number): DType | undefined {
  return BY_NUMBER.get(onnx);
}

/** Number of elements of a shape; 1 for a scalar. */
export function elementCount(shape: readonly number[]): number {
  return shape.reduce((product, dim) => product * dim, 1);
}

/** Bytes that `shape` elements of `dtype` take in `raw_data`; sub-byte types are packed over the whole tensor. */
export function byteLengthOf(dtype: DType, shape: readonly number[]): number {
  return Math.ceil((elementCount(shape) * DTYPES[dtype].bits) / 8);
}
