/** Writes nodes and shared constants for expanded projections. */
import type { Attribute } from '../onnx/ir/attribute.js';
import { int, ints } from '../onnx/ir/attribute.js';
import { DTYPES, type DType } from '../onnx/ir/dtype.js';
import type { Graph, Node, Value } from '../onnx/ir/graph.js';
import { float32s, int64s, type Tensor, tensorOf } from '../onnx/ir/tensor.js';
import type { Rewriter } from '../onnx/rewrite/rewriter.js';
import { PROJECTION_KEY } from './sites.js';

/** A new node of an expansion: operator, inputs, and what its name ends in. */
export interface Step {
  readonly op: string;
  readonly domain?: string;
  readonly inputs: readonly (Value | undefined)[];
  readonly attributes?: Readonly<Record<string, Attribute>>;
  readonly name: string;
}

/** Constants whose names begin so serve several projections: look-up tables, shapes, factors. */
export const SHARED = 'matquant/';

export class Emitter {
  readonly rw: Rewriter;
  /** Version of the default operator set. */
  readonly opset: number;
  readonly #constants: Map<string, Value> = new Map();

  constructor(rw: Rewriter) {
    this.rw = rw;
    this.opset = rw.model.opsets.get('') ?? 1;
  }

  get graph(): Graph {
    return this.rw.model.graph;
  }

  /** Inserts a node before `anchor`; `id` is the projection it belongs to, '' when several share it. */
  add(anchor: Node, id: string, step: Step): Value {
    return this.rw.insert(anchor, { ...step, metadata: new Map([[PROJECTION_KEY, id]]) });
  }

  cast(anchor: Node, id: string, value: Value, to: DType, name: string): Value {
    return this.add(anchor, id, { op: 'Cast', inputs: [value], attributes: { to: int(DTYPES[to].onnx) }, name });
  }

  reshape(anchor: Node, id: string, value: Value, shape: readonly number[], name: string): Value {
    return this.add(anchor, id, { op: 'Reshape', inputs: [value, this.int64s(shape)], name });
  }

  /** Elements [from, to) along the first axis; the bounds became inputs with operator set 10. */
  slice(anchor: Node, id: string, value: Value, from: number, to: number, name: string): Value {
    if (this.opset >= 10)
      return this.add(anchor, id, { op: 'Slice', inputs: [value, this.int64s([from]), this.int64s([to])], name });
    const attributes = { starts: ints([from]), ends: ints([to]), axes: ints([0]) };
    return this.add(anchor, id, { op: 'Slice', inputs: [value], attributes, name });
  }

  /** A value [1 or n, …] repeated to `shape`. Expand came with operator set 8; Tile is older and needs the factors. */
  expand(
    anchor: Node,
    id: string,
    value: Value,
    from: readonly number[],
    shape: readonly number[],
    name: string,
  ): Value {
    if (this.opset >= 8) return this.add(anchor, id, { op: 'Expand', inputs: [value, this.int64s(shape)], name });
    const factors = shape.map((size, axis) => size / (from[axis] as number));
    return this.add(anchor, id, { op: 'Tile', inputs: [value, this.int64s(factors)], name });
  }

  /** An initializer of the main graph, for one projection. */
  initializer(name: string, tensor: Tensor): Value {
    return this.rw.initializer(this.graph, name, tensor);
  }

  int64s(values: readonly number[]): Value {
    return this.shared(`${SHARED}int64/${values.join('_')}`, () => int64s(values));
  }

  float(value: number): Value {
    return this.shared(`${SHARED}float/${value}`, () => tensorOf('float32', [], Float32Array.of(value)));
  }

  floats(name: string, values: () => Float32Array, shape: readonly number[]): Value {
    return this.shared(`${SHARED}${name}`, () => float32s(values(), shape));
  }

  /** One initializer per name in the main graph, made when it is first asked for. */
  shared(name: string, make: () => Tensor): Value {
    const known = this.#constants.get(name) ?? this.initializer(name, make());
    this.#constants.set(name, known);
    return known;
  }
}

/** The node of the main graph in which `node` stands, or itself. */
export function outermost(node: Node): Node {
  let found = node;
  for (let owner = found.graph.owner; owner !== undefined; owner = owner.graph.owner) found = owner;
  return found;
}
