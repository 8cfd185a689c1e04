/** Types of values: the tensor types of `TypeProto` and what the IR says of them. */
import { DTYPES, dtypeOf } from '../ir/dtype.js';
import type { Dim, ValueType } from '../ir/graph.js';
import { type DimensionProto, long, type TypeProto } from '../proto/messages.js';

/** The type as the IR knows it; undefined for sequences, maps and other types that are no tensors. */
export function valueTypeOf(type: TypeProto | undefined): ValueType | undefined {
  const tensor = type?.tensorType;
  if (!tensor) return undefined;
  const shape = tensor.shape ? (tensor.shape.dim ?? []).map(dimOf) : undefined;
  return { dtype: dtypeOf(tensor.elemType ?? 0), shape };
}

function dimOf(dim: DimensionProto): Dim {
  if (dim.dimValue !== undefined) {
    const value = dim.dimValue.toNumber();
    return value >= 0 ? value : undefined;
  }
  return dim.dimParam || undefined;
}

/** The message of a type; undefined when there is nothing to say. */
export function typeProtoOf(type: ValueType | undefined): TypeProto | undefined {
  if (type === undefined) return undefined;
  const tensorType = {
    ...(type.dtype === undefined ? {} : { elemType: DTYPES[type.dtype].onnx }),
    ...(type.shape === undefined ? {} : { shape: { dim: type.shape.map(dimProtoOf) } }),
  };
  return { tensorType };
}

function dimProtoOf(dim: Dim): DimensionProto {
  if (typeof dim === 'number') return { dimValue: long(dim) };
  return typeof dim === 'string' ? { dimParam: dim } : {};
}

export function sameType(a: ValueType | undefined, b: ValueType | undefined): boolean {
  if (a === b) return true;
  if (a === undefined || b === undefined || a.dtype !== b.dtype) return false;
  if (a.shape === undefined || b.shape === undefined) return a.shape === b.shape;
  return a.shape.length === b.shape.length && a.shape.every((dim, index) => dim === b.shape?.[index]);
}
