/**
 * Half precision arithmetic done in float32: initializers, constants, casts and whatever is computed from them, inputs and outputs
 * (caches, logits) included. Every half precision number is a float32 number, and float32 rounds more finely. No pass, because it
 * changes the interface: ONNX Runtime 1.30 has next to no bfloat16 operators on a processor, and onnxruntime-node refuses bfloat16 at the edge.
 */
import { type Attribute, int, tensor } from '../ir/attribute.js';
import { DTYPES } from '../ir/dtype.js';
import { type Graph, graphsOf, type Model, type Node, nodesOf, type Value, valuesIn } from '../ir/graph.js';
import { fromFloat32, toFloat32 } from '../ir/half.js';
import { lazyTensor, type Tensor } from '../ir/tensor.js';
import type { Rewriter } from './rewriter.js';

export type HalfType = 'bfloat16' | 'float16';

/** Makes a model that computes in bfloat16, or in the types given, compute in float32; any other model stays as it is. */
export function computeInFloat32(rw: Rewriter, from: readonly HalfType[] = ['bfloat16']): void {
  const { graph } = rw.model;
  for (const half of from) {
    for (const node of nodesOf(graph)) widenAttributes(rw, node, half);
    for (const value of valuesOf(graph)) widenValue(rw, value, half);
  }
}

/** True when some value of the model is of this type. */
export function computesIn({ graph }: Model, half: HalfType): boolean {
  const inValues = [...valuesOf(graph)].some(
    ({ type, initializer }) => type?.dtype === half || initializer?.dtype === half,
  );
  return inValues || [...nodesOf(graph)].some(({ attributes }) => [...attributes].some((each) => is(half, each)));
}

/** True for an attribute that names the type (of a Cast, of random numbers) or holds a tensor of it. */
function is(half: HalfType, [name, attribute]: readonly [string, Attribute]): boolean {
  if (attribute.kind === 'tensor') return attribute.value.dtype === half;
  const isType = /^(to|dtype|output_dtype)$/.test(name) && attribute.kind === 'int';
  return isType && attribute.value === BigInt(DTYPES[half].onnx);
}

/** Every value of a graph and of those its nodes hold. */
function* valuesOf(graph: Graph): Generator<Value> {
  for (const each of graphsOf(graph)) yield* valuesIn(each);
}

function widenAttributes(rw: Rewriter, node: Node, half: HalfType): void {
  for (const [name, attribute] of [...node.attributes].filter((each) => is(half, each))) {
    const wide = attribute.kind === 'tensor' ? tensor(asFloat32(attribute.value, half)) : int(DTYPES.float32.onnx);
    rw.setAttribute(node, name, wide);
  }
}

function widenValue(rw: Rewriter, value: Value, half: HalfType): void {
  const { initializer, type } = value;
  if (initializer?.dtype === half) rw.setTensor(value, asFloat32(initializer, half));
  else if (type?.dtype === half) rw.setType(value, { dtype: 'float32', shape: type.shape });
}

/** Tensors that share their bytes go on sharing them, in whatever model they are. */
const storages: WeakMap<object, object> = new WeakMap();

/** The float32 form of a half precision tensor, made when it is read. */
function asFloat32({ shape, storage, bytes }: Tensor, half: HalfType): Tensor {
  const wide = storages.get(storage) ?? {};
  storages.set(storage, wide);
  const read = (start: number, end: number): Uint8Array => {
    const first = start - (start % 4);
    const values = toFloat32(bytes(first / 2, Math.ceil(end / 4) * 2), half);
    return fromFloat32(values, 'float32').subarray(start - first, end - first);
  };
  return lazyTensor('float32', shape, read, wide);
}
