/** The numbers of tensors that are stored in typed fields, as the raw little-endian bytes everyone else works with. */
import { DTYPES, type DType } from '../ir/dtype.js';
import type { TensorProto } from '../proto/messages.js';

type Field = 'floatData' | 'doubleData' | 'int64Data' | 'uint64Data' | 'int32Data';

/** The field that holds elements of a type (onnx.proto, comments of `TensorProto`); whatever is not listed is in int32_data. */
const FIELDS: Partial<Record<DType, Field>> = {
  float32: 'floatData',
  complex64: 'floatData',
  float64: 'doubleData',
  complex128: 'doubleData',
  int64: 'int64Data',
  uint32: 'uint64Data',
  uint64: 'uint64Data',
};

/** Bytes that one entry of the field stands for: a part of a complex number, or one byte of packed 4-bit and 2-bit elements. */
function entryBytes(dtype: DType): number {
  const bits = DTYPES[dtype].bits;
  return dtype === 'complex64' || dtype === 'complex128' ? bits / 16 : Math.max(bits, 8) / 8;
}

/** Number of bytes that the typed field of this tensor stands for. */
export function typedByteLength(message: TensorProto, dtype: DType): number {
  return (message[FIELDS[dtype] ?? 'int32Data'] ?? []).length * entryBytes(dtype);
}

/** The typed field as raw little-endian bytes. */
export function typedBytes(message: TensorProto, dtype: DType): Uint8Array {
  const field = FIELDS[dtype] ?? 'int32Data';
  const width = entryBytes(dtype);
  const bytes = new Uint8Array(typedByteLength(message, dtype));
  const view = new DataView(bytes.buffer);
  if (field === 'int64Data' || field === 'uint64Data') {
    (message[field] ?? []).forEach((value, index) => {
      view.setInt32(index * width, value.low, true);
      if (width === 8) view.setInt32(index * width + 4, value.high, true);
    });
    return bytes;
  }
  const write = writerOf(field, width, view);
  (message[field] ?? []).forEach((value, index) => write(index * width, value));
  return bytes;
}

function writerOf(field: Field, width: number, view: DataView): (at: number, value: number) => void {
  if (field === 'floatData') return (at, value) => view.setFloat32(at, value, true);
  if (field === 'doubleData') return (at, value) => view.setFloat64(at, value, true);
  if (width === 4) return (at, value) => view.setInt32(at, value, true);
  if (width === 2) return (at, value) => view.setInt16(at, value, true);
  return (at, value) => view.setInt8(at, value);
}
