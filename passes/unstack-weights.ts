/**
 * Stacks of matrices that are taken apart by constant indices, as the matrices that are read.
 *
 * Matches: Gather, Slice and Split along the first axis of a constant float tensor [E, …] of three and more dimensions, with
 * constant indices, and Squeeze or Reshape of what they give. Exports of mixtures of experts with one branch an expert have them.
 * Becomes: one initializer for each part, a view of the same bytes.
 * Why it is sound: the rows of the first axis lie one after the other, so a range of them is a range of bytes.
 * Refuses when: something else reads the stack, which then has to stay whole; an index is computed; the stack is a graph input or
 * output, or a part is a graph output.
 */
import { constantOf, numbersOf, scalarOf } from '../src/analysis/constants.js';
import { stackOf } from '../src/analysis/weights.js';
import { intAttribute, intsAttribute, type Node, nodesOf, type Value } from '../src/onnx/ir/graph.js';
import { rowsOf, type Tensor } from '../src/onnx/ir/tensor.js';
import { definePass, type NoOptions, noOptions, type Pass } from '../src/onnx/rewrite/define-pass.js';
import type { Rewriter } from '../src/onnx/rewrite/rewriter.js';

export const unstackWeights: Pass<NoOptions> = definePass({
  name: 'unstack-weights',
  summary: 'Stores the matrices of a stack one by one where constant indices take it apart.',
  options: noOptions,
  keeps: 'bits',
  run(rw) {
    const stacks = new Set<Value>();
    for (const node of nodesOf(rw.model.graph)) {
      const stack = node.inputs[0];
      if (stack !== undefined && stackOf(stack) !== undefined && partsOf(node) !== undefined) stacks.add(stack);
    }
    for (const stack of stacks) unstack(rw, stack);
  },
});

/** Rows [from, to) of the first axis, with their shape. */
interface Part {
  readonly from: number;
  readonly to: number;
  readonly shape: readonly number[];
}

/** Replaces every reader of `stack` when all take constant parts of it. */
function unstack(rw: Rewriter, stack: Value): void {
  const readers = [...stack.uses].map(({ node, slot }) => ({ node, parts: slot === 0 ? partsOf(node) : undefined }));
  if (readers.some(({ node, parts }) => parts === undefined || node.outputs.some((output) => output?.isOutput))) return;
  const tensor = constantOf(stack) as Tensor;
  // Parts by their place and shape.
  const made = new Map<string, Value>();
  for (const { node, parts } of readers) {
    parts?.forEach((part, slot) => {
      const output = node.outputs[slot];
      if (output === undefined) return;
      const key = `${part.from} ${part.to} [${part.shape}]`;
      const value =
        made.get(key) ??
        rw.initializer(stack.graph, `${stack.name}.${part.from}`, rowsOf(tensor, part.from, part.to, part.shape));
      made.set(key, value);
      rw.replaceUses(output, value);
    });
    rw.erase(node);
  }
  rw.dropIfUnused(stack);
  // What still has the axis of the stack, or is a stack itself, may be taken apart further.
  for (const value of new Set(made.values())) if ((constantOf(value)?.shape.length ?? 0) >= 3) unstack(rw, value);
}

/** The part in each output of a node that reads a constant at slot 0; undefined where it is no plain taking. */
function partsOf(node: Node): readonly Part[] | undefined {
  const shape = constantOf(node.inputs[0])?.shape;
  if (shape === undefined || node.domain !== '') return undefined;
  const parts = RULES[node.op]?.(node, shape);
  return parts?.every(({ from, to }) => from >= 0 && to > from && to <= (shape[0] as number)) ? parts : undefined;
}

const RULES: Readonly<Record<string, (node: Node, shape: readonly number[]) => readonly Part[] | undefined>> = {
  Gather: (node, [count = 0, ...rest]) => {
    const at = scalarOf(node.inputs[1]);
    if (at === undefined || intAttribute(node, 'axis', 0) !== 0) return undefined;
    const from = at < 0 ? at + count : at;
    return [{ from, to: from + 1, shape: [...(constantOf(node.inputs[1])?.shape ?? []), ...rest] }];
  },
  Slice: (node, [count = 0, ...rest]) => {
    const [starts, ends, axes, steps] = [1, 2, 3, 4].map((slot) => numbersOf(node.inputs[slot]));
    const isPlain = starts?.length === 1 && ends?.length === 1 && (axes?.[0] ?? 0) === 0 && (steps?.[0] ?? 1) === 1;
    if (!isPlain) return undefined;
    const inside = (index: number): number => Math.max(0, Math.min(count, index < 0 ? index + count : index));
    const [from, to] = [inside(starts[0] as number), inside(ends[0] as number)];
    return [{ from, to, shape: [to - from, ...rest] }];
  },
  Split: (node, [count = 0, ...rest]) => {
    const outputs = node.outputs.length;
    const equal = count % outputs === 0 ? Array<number>(outputs).fill(count / outputs) : undefined;
    const given = node.inputs[1] === undefined ? intsAttribute(node, 'split') : numbersOf(node.inputs[1]);
    const sizes = given ?? (node.inputs[1] === undefined ? equal : undefined);
    if (sizes === undefined || intAttribute(node, 'axis', 0) !== 0) return undefined;
    let from = 0;
    return sizes.map((size) => {
      const part = { from, to: from + size, shape: [size, ...rest] };
      from += size;
      return part;
    });
  },
  Squeeze: (node, [count = 0, ...rest]) => {
    const axes = numbersOf(node.inputs[1]) ?? intsAttribute(node, 'axes');
    return count === 1 && axes?.length === 1 && axes[0] === 0 ? [{ from: 0, to: 1, shape: rest }] : undefined;
  },
  Reshape: (node, shape) => {
    const [count = 0, ...rest] = shape;
    const target = numbersOf(node.inputs[1]);
    return count === 1 && String(target) === String(rest) ? [{ from: 0, to: 1, shape: rest }] : undefined;
  },
};
