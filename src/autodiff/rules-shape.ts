/** Gradient rules of operators that move elements without computing: each is the transpose of its movement. */
import { fail } from '../diagnostics.js';
import { int, ints } from '../onnx/ir/attribute.js';
import { intAttribute, intsAttribute, type Node, placeOf, stringAttribute, type Value } from '../onnx/ir/graph.js';
import { float32Scalar, int64s } from '../onnx/ir/tensor.js';
import { unbroadcast } from './broadcast.js';
import type { Emitter, GradRule } from './emitter.js';

const input = (node: Node, slot: number): Value => node.inputs[slot] as Value;
const output = (node: Node): Value => node.outputs[0] as Value;
const positive = (axis: number, rank: number): number => (axis < 0 ? axis + rank : axis);

/** Back to the input's shape: Reshape, Flatten, Squeeze, Unsqueeze. */
const reshape: GradRule = (node, [dy], emit) =>
  dy === undefined ? [] : [emit.op('Reshape', [dy, emit.constant(int64s(emit.shape(input(node, 0))))])];

const transpose: GradRule = (node, [dy], emit) => {
  if (dy === undefined) return [];
  const rank = emit.shape(input(node, 0)).length;
  const order = intsAttribute(node, 'perm') ?? Array.from({ length: rank }, (_, axis) => rank - 1 - axis);
  const inverse = order.map((_, axis) => order.indexOf(axis));
  return [emit.op('Transpose', [dy], { perm: ints(inverse) })];
};

const expand: GradRule = (node, [dy], emit) =>
  dy === undefined ? [] : [unbroadcast(emit, dy, emit.shape(output(node)), emit.shape(input(node, 0)))];

/** Cast between float types; a cast to or from integers carries no gradient. */
const cast: GradRule = (node, [dy], emit) => {
  const to = intAttribute(node, 'to', 1);
  return dy === undefined || ![1, 10, 11, 16].includes(to) ? [undefined] : [emit.op('Cast', [dy], { to: int(1) })];
};

/** CastLike: whatever comes back from integers comes back undefined, so what comes back at all is of floats. */
const castLike: GradRule = (_, [dy], emit) => [dy && emit.op('Cast', [dy], { to: int(1) })];

/** Zeros around the gradient: Pad with `before` and `after` per axis. */
function pad(emit: Emitter, dy: Value, before: readonly number[], after: readonly number[]): Value {
  if ([...before, ...after].every((amount) => amount === 0)) return dy;
  return emit.op('Pad', [dy, emit.constant(int64s([...before, ...after])), emit.constant(float32Scalar(0))]);
}

/** Pad with a constant: what was put around is cut off again. */
const padded: GradRule = (node, [dy], emit) => {
  if (dy === undefined) return [];
  const shape = emit.shape(input(node, 0));
  const pads = emit.integers(node.inputs[1]);
  if (pads === undefined || stringAttribute(node, 'mode', 'constant') !== 'constant' || node.inputs[3] !== undefined)
    fail('unsupported-model', placeOf(node), 'Only a Pad of all axes with a constant has a gradient');
  const axes = shape.map((_, axis) => axis);
  const starts = axes.map((axis) => pads[axis] ?? 0);
  const ends = axes.map((axis) => (pads[axis] ?? 0) + (shape[axis] ?? 0));
  return [emit.op('Slice', [dy, ...[starts, ends, axes].map((each) => emit.constant(int64s(each)))])];
};

/** Slice with unit steps; other steps have no rule yet. */
const slice: GradRule = (node, [dy], emit) => {
  if (dy === undefined) return [];
  const shape = emit.shape(input(node, 0));
  const taken = emit.shape(output(node));
  const starts = emit.integers(node.inputs[1]);
  if (starts === undefined) fail('unsupported-model', placeOf(node), 'A Slice without known starts has no gradient');
  const axes = emit.integers(node.inputs[3]) ?? starts.map((_, axis) => axis);
  const steps = emit.integers(node.inputs[4]) ?? starts.map(() => 1);
  if (steps.some((step) => step !== 1))
    throw new Error(`Slice ${node.name} with a step other than 1 has no gradient rule`);
  const before = shape.map((dim, axis) => {
    const at = axes.findIndex((each) => positive(each, shape.length) === axis);
    return at < 0 ? 0 : Math.min(Math.max(positive(starts[at] ?? 0, dim), 0), dim);
  });
  const after = shape.map((dim, axis) => dim - (before[axis] ?? 0) - (taken[axis] ?? 0));
  return [pad(emit, dy, before, after)];
};

const concat: GradRule = (node, [dy], emit) => {
  if (dy === undefined) return [];
  const axis = positive(intAttribute(node, 'axis', 0), emit.shape(output(node)).length);
  let start = 0;
  return node.inputs.map((operand) => {
    if (operand === undefined) return undefined;
    const end = start + (emit.shape(operand)[axis] ?? 0);
    const bounds = [[start], [end], [axis]].map((each) => emit.constant(int64s(each)));
    start = end;
    return emit.wants(operand) ? emit.op('Slice', [dy, ...bounds]) : undefined;
  });
};

/** Split is undone by Concat; outputs without a gradient count as zeros. */
const split: GradRule = (node, dy, emit) => {
  const axis = positive(intAttribute(node, 'axis', 0), emit.shape(input(node, 0)).length);
  const parts = node.outputs.map((each, at) => dy[at] ?? zeros(emit, each as Value));
  return [emit.op('Concat', parts, { axis: int(axis) })];
};

function zeros(emit: Emitter, like: Value): Value {
  return emit.op('Expand', [emit.constant(float32Scalar(0)), emit.constant(int64s(emit.shape(like)))]);
}

/** Gather along an axis: the gradient is added back row by row (ScatterElements with reduction add needs opset 16). */
const gather: GradRule = (node, [dy], emit) => {
  if (dy === undefined) return [];
  const [data, indices] = [input(node, 0), input(node, 1)];
  const shape = emit.shape(data);
  const axis = positive(intAttribute(node, 'axis', 0), shape.length);
  const count = emit.shape(indices).reduce((product, dim) => product * dim, 1);
  const flatShape = [...shape.slice(0, axis), count, ...shape.slice(axis + 1)];
  const rows = emit.op('Reshape', [dy, emit.constant(int64s(flatShape))]);
  const column = emit.op('Reshape', [
    indices,
    emit.constant(int64s(flatShape.map((_, at) => (at === axis ? count : 1)))),
  ]);
  const places = emit.op('Expand', [column, emit.constant(int64s(flatShape))]);
  return [
    emit.op('ScatterElements', [zeros(emit, data), places, rows], {
      axis: int(axis),
      reduction: { kind: 'string', value: 'add' },
    }),
  ];
};

export const SHAPE_RULES: Readonly<Record<string, GradRule>> = {
  Reshape: reshape,
  Flatten: reshape,
  Squeeze: reshape,
  Unsqueeze: reshape,
  Transpose: transpose,
  Expand: expand,
  Cast: cast,
  CastLike: castLike,
  Slice: slice,
  Pad: padded,
  Concat: concat,
  Split: split,
  Gather: gather,
};
