/**
 * bfloat16 arithmetic done in float32: initializers, constants, casts and whatever is computed from them, inputs and outputs
 * (caches, logits) included. Every bfloat16 number is a float32 number, and float32 rounds more finely. No pass, because it changes
 * the interface: ONNX Runtime 1.30 has next to no bfloat16 operators on a processor, and onnxruntime-node refuses bfloat16 at the edge.
 */
import { type Attribute, int, tensor } from '../ir/attribute.js';
import { DTYPES } from '../ir/dtype.js';
import { type Graph, graphsOf, type Model, type Node, nodesOf, type Value } from '../ir/graph.js';
import { lazyTensor, type Tensor } from '../ir/tensor.js';
import { fromFloat32, toFloat32 } from '../quant/half.js';
import type { Rewriter } from './rewriter.js';

/** Makes a model that computes in bfloat16 compute in float32; any other model stays as it is. */
export function computeInFloat32(rw: Rewriter): void {
  const { graph } = rw.model;
  for (const node of nodesOf(graph)) widenAttributes(rw, node);
  for (const value of valuesOf(graph)) widenValue(rw, value);
}

/** True when some value of the model is bfloat16. */
export function computesBfloat16({ graph }: Model): boolean {
  const inValues = [...valuesOf(graph)].some(
    ({ type, initializer }) => type?.dtype === 'bfloat16' || initializer?.dtype === 'bfloat16',
  );
  return inValues || [...nodesOf(graph)].some(({ attributes }) => [...attributes].some(isBfloat16));
}

/** True for an attribute that names the type (of a Cast, of random numbers) or holds a tensor of it. */
function isBfloat16([name, attribute]: readonly [string, Attribute]): boolean {
  if (attribute.kind === 'tensor') return attribute.value.dtype === 'bfloat16';
  const isType = /^(to|dtype|output_dtype)$/.test(name) && attribute.kind === 'int';
  return isType && attribute.value === BigInt(DTYPES.bfloat16.onnx);
}

/** Every value of a graph and of those its nodes hold. */
function* valuesOf(graph: Graph): Generator<Value> {
  for (const each of graphsOf(graph)) {
    yield* each.inputs;
    yield* each.initializers;
    for (const node of each.nodes) for (const value of node.outputs) if (value !== undefined) yield value;
  }
}

function widenAttributes(rw: Rewriter, node: Node): void {
  for (const [name, attribute] of [...node.attributes].filter(isBfloat16)) {
    const wide = attribute.kind === 'tensor' ? tensor(asFloat32(attribute.value)) : int(DTYPES.float32.onnx);
    rw.setAttribute(node, name, wide);
  }
}

function widenValue(rw: Rewriter, value: Value): void {
  const { initializer, type } = value;
  if (initializer?.dtype === 'bfloat16') rw.setTensor(value, asFloat32(initializer));
  else if (type?.dtype === 'bfloat16') rw.setType(value, { dtype: 'float32', shape: type.shape });
}

/** Tensors that share their bytes go on sharing them, in whatever model they are. */
const storages: WeakMap<object, object> = new WeakMap();

/** The float32 form of a bfloat16 tensor, made when it is read. */
function asFloat32({ shape, storage, bytes }: Tensor): Tensor {
  const wide = storages.get(storage) ?? {};
  storages.set(storage, wide);
  const read = (start: number, end: number): Uint8Array => {
    const first = start - (start % 4);
    const values = toFloat32(bytes(first / 2, Math.ceil(end / 4) * 2), 'bfloat16');
    return fromFloat32(values, 'float32').subarray(start - first, end - first);
  };
  return lazyTensor('float32', shape, read, wide);
}
