/** What a gradient rule may do: add operators and constants, and ask for shapes that an observed run has fixed. */
import type { Attribute } from '../onnx/ir/attribute.js';
import type { Value } from '../onnx/ir/graph.js';
import type { Tensor } from '../onnx/ir/tensor.js';

export interface Emitter {
  /** Version of the default operator set of the graph. */
  readonly opset: number;
  /** Adds a node of the default domain and returns its first output. */
  op(op: string, inputs: readonly (Value | undefined)[], attributes?: Readonly<Record<string, Attribute>>): Value;
  /** Adds a node with several outputs. */
  ops(
    op: string,
    inputs: readonly (Value | undefined)[],
    outputs: number,
    attributes?: Readonly<Record<string, Attribute>>,
  ): readonly Value[];
  constant(tensor: Tensor): Value;
  /** The concrete shape of a value of the forward graph, as observed in one run with the training shapes. */
  shape(value: Value): readonly number[];
  /** Integers of a constant input (axes, shapes, pads), or undefined when the value is not constant. */
  integers(value: Value | undefined): readonly number[] | undefined;
  /** True when a gradient with respect to the value is wanted. */
  wants(value: Value | undefined): boolean;
}

/**
 * The gradient of one operator: given the gradients of its outputs (undefined where nothing flows), one gradient per input
 * (undefined where none is defined or wanted).
 */
export type GradRule = (
  node: import('../onnx/ir/graph.js').Node,
  dy: readonly (Value | undefined)[],
  emit: Emitter,
) => readonly (Value | undefined)[];
