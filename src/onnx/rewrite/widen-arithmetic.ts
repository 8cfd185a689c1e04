/**
 * Arithmetic done in a wider type: initializers, constants, casts and whatever is computed from them, inputs and outputs (caches,
 * logits) included. Every number of a narrower type is one of the wider type, which rounds more finely. No pass, because it changes
 * the interface. Half precision in float32: ONNX Runtime 1.30 has next to no bfloat16 operators on a processor, and onnxruntime-node
 * refuses bfloat16 at the edge. Everything in float64: results whose first digits are the same on every processor.
 */
import { type Attribute, int, tensor } from '../ir/attribute.js';
import { DTYPES } from '../ir/dtype.js';
import { type Graph, graphsOf, type Model, type Node, nodesOf, type Value, valuesIn } from '../ir/graph.js';
import { type FloatDType, fromFloat32, toFloat32 } from '../ir/half.js';
import { lazyTensor, type Tensor, tensorOf } from '../ir/tensor.js';
import type { Rewriter } from './rewriter.js';

export type HalfType = 'bfloat16' | 'float16';
type Wide = 'float32' | 'float64';
type Narrow = Exclude<FloatDType, 'float64'>;

/** Makes a model that computes in bfloat16, or in the types given, compute in float32; any other model stays as it is. */
export function computeInFloat32(rw: Rewriter, from: readonly HalfType[] = ['bfloat16']): void {
  for (const half of from) widen(rw, half, 'float32');
}

/**
 * Makes a model compute in float64. Tables that only a Gather reads keep their type, and what is read is cast. Operators that have no
 * float64 form, in ONNX or in a runtime, stay in the graph: the runtime refuses to load it.
 */
export function computeInFloat64(rw: Rewriter): void {
  const nodes = [...nodesOf(rw.model.graph)];
  for (const node of nodes) spellOutFloat32(rw, node);
  const tables = new Set<Value>();
  for (const value of valuesOf(rw.model.graph)) if (isLookedUp(value)) tables.add(value);
  for (const narrow of NARROW) widen(rw, narrow, 'float64', tables);
  for (const node of nodes.filter(({ inputs: [data] }) => data !== undefined && tables.has(data))) castLookup(rw, node);
}

const NARROW: readonly Narrow[] = ['bfloat16', 'float16', 'float32'];

/** True for a table of numbers that is read by its rows alone. */
const isLookedUp = ({ initializer, uses }: Value): boolean =>
  NARROW.some((narrow) => initializer?.dtype === narrow) &&
  uses.size > 0 &&
  [...uses].every(({ node, slot }) => node.op === 'Gather' && slot === 0);

function castLookup(rw: Rewriter, gather: Node): void {
  const { name, inputs, attributes } = gather;
  const rows = rw.insert(gather, { name, op: 'Gather', inputs, attributes: Object.fromEntries(attributes) });
  rw.replaceNode(gather, { name, op: 'Cast', inputs: [rows], attributes: { to: int(DTYPES.float64.onnx) } });
}

/** True when some value of the model is of this type. */
export function computesIn({ graph }: Model, half: HalfType): boolean {
  const inValues = [...valuesOf(graph)].some(
    ({ type, initializer }) => type?.dtype === half || initializer?.dtype === half,
  );
  return inValues || [...nodesOf(graph)].some(({ attributes }) => [...attributes].some((each) => is(half, each)));
}

/** True for an attribute that names the type (of a Cast, of random numbers) or holds a tensor of it. */
function is(narrow: Narrow, [name, attribute]: readonly [string, Attribute]): boolean {
  if (attribute.kind === 'tensor') return attribute.value.dtype === narrow;
  const isType = /^(to|dtype|output_dtype)$/.test(name) && attribute.kind === 'int';
  return isType && attribute.value === BigInt(DTYPES[narrow].onnx);
}

/** Every value of a graph and of those its nodes hold. */
function* valuesOf(graph: Graph): Generator<Value> {
  for (const each of graphsOf(graph)) yield* valuesIn(each);
}

function widen(rw: Rewriter, narrow: Narrow, to: Wide, except: ReadonlySet<Value> = new Set()): void {
  const { graph } = rw.model;
  for (const node of nodesOf(graph)) widenAttributes(rw, node, narrow, to);
  for (const value of valuesOf(graph)) if (!except.has(value)) widenValue(rw, value, narrow, to);
}

function widenAttributes(rw: Rewriter, node: Node, narrow: Narrow, to: Wide): void {
  for (const [name, attribute] of [...node.attributes].filter((each) => is(narrow, each))) {
    const wide = attribute.kind === 'tensor' ? tensor(asWide(attribute.value, narrow, to)) : int(DTYPES[to].onnx);
    rw.setAttribute(node, name, wide);
  }
}

function widenValue(rw: Rewriter, value: Value, narrow: Narrow, to: Wide): void {
  const { initializer, type } = value;
  if (initializer?.dtype === narrow) rw.setTensor(value, asWide(initializer, narrow, to));
  else if (type?.dtype === narrow) rw.setType(value, { dtype: to, shape: type.shape });
}

/** Constants that are float32 without a tensor that says so get one. */
function spellOutFloat32(rw: Rewriter, node: Node): void {
  const { op, attributes } = node;
  if (op === 'ConstantOfShape' && !attributes.has('value'))
    rw.setAttribute(node, 'value', tensor(tensorOf('float32', [1], new Float32Array(1))));
  if (op !== 'Constant') return;
  for (const name of ['value_float', 'value_floats']) {
    const given = attributes.get(name);
    if (given?.kind !== 'float' && given?.kind !== 'floats') continue;
    const values = Float32Array.from(given.kind === 'float' ? [given.value] : given.value);
    rw.setAttribute(node, name, undefined);
    rw.setAttribute(node, 'value', tensor(tensorOf('float32', given.kind === 'float' ? [] : [values.length], values)));
  }
}

/** Tensors that share their bytes go on sharing them, in whatever model they are. */
const storages: Readonly<Record<Wide, WeakMap<object, object>>> = { float32: new WeakMap(), float64: new WeakMap() };

/** The wide form of a tensor, made when it is read. */
function asWide({ shape, storage, bytes }: Tensor, narrow: Narrow, to: Wide): Tensor {
  const wide = storages[to].get(storage) ?? {};
  storages[to].set(storage, wide);
  const [size, width] = [DTYPES[narrow].bits / 8, DTYPES[to].bits / 8];
  const read = (start: number, end: number): Uint8Array => {
    const first = start - (start % width);
    const values = toFloat32(bytes((first / width) * size, Math.ceil(end / width) * size), narrow);
    return fromFloat32(values, to).subarray(start - first, end - first);
  };
  return lazyTensor(to, shape, read, wide);
}
