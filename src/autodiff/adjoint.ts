/** Gradients that come from outside of a part: the sum of what it gives times them has the gradients that are looked for. */
import { elementTypeOf } from '../analysis/element-types.js';
import type { Execution } from '../analysis/execution.js';
import { int } from '../onnx/ir/attribute.js';
import type { Value } from '../onnx/ir/graph.js';
import type { GraphBuilder } from '../onnx/rewrite/builder.js';

/** The input with the gradient by a value. */
export const adjointName = (value: Value): string => `adjoint/${value.name}`;

/** Whether a value carries gradients. */
export const isFloat = (value: Value, { resolve }: Execution): boolean => elementTypeOf(value, resolve) === 'float32';

/** Σ of the copy of a value times the gradient by it, which is an input of these dimensions. */
export function adjointTerm(b: GraphBuilder, value: Value, copy: Value, dims: readonly number[]): Value {
  const adjoint = b.input(adjointName(value), 'float32', dims);
  return b.op('ReduceSum', [b.op('Mul', [copy, adjoint])], { keepdims: int(0) });
}
