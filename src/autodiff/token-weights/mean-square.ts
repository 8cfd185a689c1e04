/** The mean square of a gradient over contiguous groups of outputs, as nodes of a graph. */
import type { Value } from '../../onnx/ir/graph.js';
import { float32s } from '../../onnx/ir/tensor.js';
import type { GraphBuilder } from '../../onnx/rewrite/builder.js';

/** Rows [start, end) of each of `groups` contiguous groups of `count` outputs, none of them empty. */
export function groupsOfOutputs(
  count: number,
  groups: number,
): readonly { readonly start: number; readonly end: number }[] {
  const most = Math.min(count, groups);
  const bound = (at: number): number => Math.floor((at * count) / most);
  return Array.from({ length: most }, (_, at) => ({ start: bound(at), end: bound(at + 1) }));
}

/** [rows, groups] of a gradient [..., N]. */
export function meanSquares(b: GraphBuilder, gradient: Value, outputs: number, groups: number): Value {
  const ranges = groupsOfOutputs(outputs, groups);
  const means = new Float32Array(outputs * ranges.length);
  ranges.forEach(({ start, end }, group) => {
    for (let at = start; at < end; at++) means[at * ranges.length + group] = 1 / (end - start);
  });
  const rows = b.op('Reshape', [gradient, b.integers([-1, outputs])]);
  return b.op('MatMul', [b.op('Mul', [rows, rows]), b.constant(float32s(means, [outputs, ranges.length]), 'means')]);
}
