/** What is known before the model runs: the tensor behind a value, and small constants as numbers. */
import { DTYPES, type DType } from '../onnx/ir/dtype.js';
import { isOp, type Node, type Value } from '../onnx/ir/graph.js';
import { bfloat16ToFloat32, float16Value } from '../onnx/ir/half.js';
import { float32Scalar, float32s, int64Scalar, int64s, sizeOf, type Tensor } from '../onnx/ir/tensor.js';

/** Tensors made from scalar and list attributes, kept so that asking twice gives the same storage. */
const made = new WeakMap<Node, Tensor>();

/** The tensor of an initializer or of a Constant node; undefined for anything computed, and for sparse or string constants. */
export function constantOf(value: Value | undefined): Tensor | undefined {
  if (value === undefined) return undefined;
  if (value.initializer !== undefined) return value.initializer;
  return isOp(value.producer, 'Constant') ? tensorOfConstant(value.producer) : undefined;
}

/** True for initializers that a caller may replace by feeding an input (from IR 4 on; earlier every initializer is listed). */
export function isOverridable(value: Value, irVersion: number): boolean {
  return value.isInput && value.initializer !== undefined && irVersion >= 4;
}

/** The attribute forms of Constant (ONNX operator specification, Constant-13). */
function tensorOfConstant(node: Node): Tensor | undefined {
  const value = node.attributes.get('value');
  if (value?.kind === 'tensor') return value.value;
  const known = made.get(node) ?? tensorOfList(node);
  if (known !== undefined) made.set(node, known);
  return known;
}

function tensorOfList(node: Node): Tensor | undefined {
  for (const attribute of node.attributes.values()) {
    if (attribute.kind === 'int') return int64Scalar(Number(attribute.value));
    if (attribute.kind === 'ints') return int64s(attribute.value.map(Number));
    if (attribute.kind === 'float') return float32Scalar(attribute.value);
    if (attribute.kind === 'floats') return float32s(Float32Array.from(attribute.value));
  }
  return undefined;
}

/** Constants longer than this are weights, not numbers to reason about. */
const SMALL = 4096;

/** The elements of a small constant as numbers; undefined when the value is computed, large, or of a type without numbers here. */
export function numbersOf(value: Value | undefined): readonly number[] | undefined {
  const tensor = constantOf(value);
  if (tensor === undefined || sizeOf(tensor) > SMALL) return undefined;
  const read = READERS[tensor.dtype];
  if (read === undefined) return undefined;
  const bytes = tensor.bytes();
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const width = DTYPES[tensor.dtype].bits / 8;
  return Array.from({ length: sizeOf(tensor) }, (_, index) => read(view, index * width));
}

/** The one element of a constant with a single element. */
export function scalarOf(value: Value | undefined): number | undefined {
  const numbers = numbersOf(value);
  return numbers?.length === 1 ? numbers[0] : undefined;
}

type Reader = (view: DataView, at: number) => number;

const READERS: Partial<Record<DType, Reader>> = {
  float32: (view, at) => view.getFloat32(at, true),
  float64: (view, at) => view.getFloat64(at, true),
  float16: (view, at) => float16Value(view.getUint16(at, true)),
  bfloat16: (view, at) => bfloat16ToFloat32(Uint16Array.of(view.getUint16(at, true)))[0] as number,
  int64: (view, at) => Number(view.getBigInt64(at, true)),
  int32: (view, at) => view.getInt32(at, true),
  int8: (view, at) => view.getInt8(at),
  uint8: (view, at) => view.getUint8(at),
  bool: (view, at) => view.getUint8(at),
};
