/** The emitter of gradient rules over a real graph: new nodes go to the end of the graph, shapes come from an observed run. */
import type { Attribute } from '../onnx/ir/attribute.js';
import type { Graph, Value } from '../onnx/ir/graph.js';
import { sizeOf, type Tensor } from '../onnx/ir/tensor.js';
import type { Rewriter } from '../onnx/rewrite/rewriter.js';
import type { Emitter } from './emitter.js';

/** Concrete shapes of forward values. */
export type Shapes = ReadonlyMap<Value, readonly number[]>;

/** Makes an emitter that appends to `graph`. `constantOf` tells the tensor of constant values (initializers and Constant nodes). */
export function graphEmitter(
  rewriter: Rewriter,
  graph: Graph,
  shapes: Shapes,
  constantOf: (value: Value) => Tensor | undefined,
): Omit<Emitter, 'wants'> {
  const made = new Map<string, Value>();
  const ops = (
    op: string,
    inputs: readonly (Value | undefined)[],
    outputs: number,
    attributes: Readonly<Record<string, Attribute>> = {},
  ): readonly Value[] => {
    const types = Array.from({ length: outputs }, () => undefined);
    const node = rewriter.insertNode(graph, { op, inputs, attributes, name: `grad/${op}`, types });
    return node.outputs.filter((value) => value !== undefined);
  };
  return {
    opset: rewriter.model.opsets.get('') ?? 0,
    ops,
    op: (op, inputs, attributes) => ops(op, inputs, 1, attributes)[0] as Value,
    constant: (tensor) => shared(tensor, made, () => rewriter.initializer(graph, 'grad/constant', tensor)),
    shape: (value) => shapes.get(value) ?? value.initializer?.shape ?? missing(value),
    integers: (value) => integersOf(value === undefined ? undefined : constantOf(value)),
  };
}

/** Small constants (shapes, scalars) are stored once. */
function shared(tensor: Tensor, made: Map<string, Value>, make: () => Value): Value {
  if (sizeOf(tensor) > 16) return make();
  const key = `${tensor.dtype} [${tensor.shape}] ${Buffer.from(tensor.bytes()).toString('hex')}`;
  const known = made.get(key);
  if (known !== undefined) return known;
  const value = make();
  made.set(key, value);
  return value;
}

function missing(value: Value): never {
  throw new Error(`the shape of ${value.name} was not observed`);
}

function integersOf(tensor: Tensor | undefined): readonly number[] | undefined {
  if (tensor === undefined) return undefined;
  const bytes = tensor.bytes().slice();
  if (tensor.dtype === 'int64') return Array.from(new BigInt64Array(bytes.buffer), Number);
  return tensor.dtype === 'int32' ? Array.from(new Int32Array(bytes.buffer)) : undefined;
}
