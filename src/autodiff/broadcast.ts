/** Un-broadcasting, in one place: a gradient of a broadcast result becomes a gradient of the operand. */
import { ints } from '../onnx/ir/attribute.js';
import type { Value } from '../onnx/ir/graph.js';
import { int64s } from '../onnx/ir/tensor.js';
import type { Emitter } from './emitter.js';

/**
 * Sums `gradient` (of shape `from`) over the axes that numpy broadcasting added or stretched, so that it gets shape `to`
 * (ONNX "Multidirectional Broadcasting"). Returns the gradient itself when the shapes agree.
 */
export function unbroadcast(emit: Emitter, gradient: Value, from: readonly number[], to: readonly number[]): Value {
  const lead = from.length - to.length;
  const axes = from.flatMap((dim, axis) => (axis < lead || (to[axis - lead] === 1 && dim !== 1) ? [axis] : []));
  if (axes.length === 0 && lead === 0) return gradient;
  const summed = axes.length === 0 ? gradient : reduceSum(emit, gradient, axes, true);
  return lead === 0 ? summed : emit.op('Reshape', [summed, emit.constant(int64s(to))]);
}

/** ReduceSum in the form the graph's operator set knows: axes became an input in opset 13. */
export function reduceSum(emit: Emitter, value: Value, axes: readonly number[], keepdims: boolean): Value {
  return emit.op('ReduceSum', [value, emit.constant(int64s(axes))], {
    keepdims: { kind: 'int', value: keepdims ? 1n : 0n },
  });
}

/** ReduceMean over the given axes; axes became an input in opset 18. */
export function reduceMean(emit: Emitter, value: Value, axes: readonly number[]): Value {
  if (emit.opset >= 18) return emit.op('ReduceMean', [value, emit.constant(int64s(axes))]);
  return emit.op('ReduceMean', [value], { axes: ints(axes) });
}
