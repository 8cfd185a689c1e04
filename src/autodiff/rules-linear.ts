/** Gradient rules of products, reductions, softmax and normalizations. */
import { fail } from '../diagnostics.js';
import { float, int } from '../onnx/ir/attribute.js';
import { floatAttribute, intAttribute, intsAttribute, type Node, placeOf, type Value } from '../onnx/ir/graph.js';
import { float32Scalar, int64s } from '../onnx/ir/tensor.js';
import { reduceMean, reduceSum, unbroadcast } from './broadcast.js';
import type { Emitter, GradRule } from './emitter.js';

const input = (node: Node, slot: number): Value => node.inputs[slot] as Value;
const output = (node: Node): Value => node.outputs[0] as Value;

/** Swaps the last two axes of a value of the given rank. */
function swap(emit: Emitter, value: Value, rank: number): Value {
  const order = Array.from({ length: rank }, (_, axis) => axis);
  [order[rank - 2], order[rank - 1]] = [rank - 1, rank - 2];
  return emit.op('Transpose', [value], { perm: { kind: 'ints', value: order.map(BigInt) } });
}

const batchOf = (shape: readonly number[], rows: number, cols: number): readonly number[] => [
  ...shape.slice(0, -2),
  rows,
  cols,
];
const flatten = (emit: Emitter, value: Value, cols: number): Value =>
  emit.op('Reshape', [value, emit.constant(int64s([-1, cols]))]);

/** Y = A . B: dA = dY . Bt, dB = At . dY, both un-broadcast over the batch axes. A weight of rank 2 takes one flat product. */
const matMul: GradRule = (node, [dy], emit) => {
  if (dy === undefined) return [];
  const [a, b] = [input(node, 0), input(node, 1)];
  const [shapeA, shapeB, shapeY] = [emit.shape(a), emit.shape(b), emit.shape(output(node))];
  const [k, n] = [shapeA.at(-1) ?? 1, shapeB.at(-1) ?? 1];
  const dA = (): Value => {
    const product = emit.op('MatMul', [dy, swap(emit, b, shapeB.length)]);
    return unbroadcast(emit, product, batchOf(shapeY, shapeY.at(-2) ?? 1, k), shapeA);
  };
  const dB = (): Value => {
    if (shapeB.length === 2) return emit.op('MatMul', [swap(emit, flatten(emit, a, k), 2), flatten(emit, dy, n)]);
    const product = emit.op('MatMul', [swap(emit, a, shapeA.length), dy]);
    return unbroadcast(emit, product, batchOf(shapeY, k, n), shapeB);
  };
  return [emit.wants(a) ? dA() : undefined, emit.wants(b) ? dB() : undefined];
};

/** Y = alpha A' B' + beta C with optional transposes (ONNX Gemm). */
const gemm: GradRule = (node, [dy], emit) => {
  if (dy === undefined) return [];
  const [a, b, c] = [input(node, 0), input(node, 1), node.inputs[2]];
  const [transA, transB] = [intAttribute(node, 'transA', 0), intAttribute(node, 'transB', 0)];
  const alpha = float(floatAttribute(node, 'alpha', 1));
  const product = (x: Value, y: Value, tx: number, ty: number): Value =>
    emit.op('Gemm', [x, y], { transA: int(tx), transB: int(ty), alpha });
  const dA = transA === 0 ? product(dy, b, 0, 1 - transB) : product(b, dy, transB, 1);
  const dB = transB === 0 ? product(a, dy, 1 - transA, 0) : product(dy, a, 1, transA);
  const scaled = emit.op('Mul', [dy, emit.constant(float32Scalar(floatAttribute(node, 'beta', 1)))]);
  const dC = c === undefined ? undefined : unbroadcast(emit, scaled, emit.shape(output(node)), emit.shape(c));
  return [dA, dB, dC];
};

/** The reduced axes of a reduction node, non-negative; all axes when none are given. */
function reducedAxes(node: Node, emit: Emitter): readonly number[] {
  const rank = emit.shape(input(node, 0)).length;
  const given = emit.integers(node.inputs[1]) ?? intsAttribute(node, 'axes');
  if (given === undefined && node.inputs[1] !== undefined)
    fail('unsupported-model', placeOf(node), `A ${node.op} without known axes has no gradient`);
  if (given === undefined || (given.length === 0 && intAttribute(node, 'noop_with_empty_axes', 0) === 0))
    return Array.from({ length: rank }, (_, axis) => axis);
  return given.map((axis) => (axis < 0 ? axis + rank : axis));
}

/** Sum and mean spread the gradient over what they reduced. */
function reduction(scale: (count: number) => number): GradRule {
  return (node, [dy], emit) => {
    if (dy === undefined) return [];
    const shape = emit.shape(input(node, 0));
    const axes = reducedAxes(node, emit);
    const kept = shape.map((dim, axis) => (axes.includes(axis) ? 1 : dim));
    const count = axes.reduce((product, axis) => product * (shape[axis] ?? 1), 1);
    const column = emit.op('Reshape', [dy, emit.constant(int64s(kept))]);
    const spread = emit.op('Expand', [column, emit.constant(int64s(shape))]);
    return [emit.op('Mul', [spread, emit.constant(float32Scalar(scale(count)))])];
  };
}

/** Max and min of a reduction: the gradient goes to the elements that equal the result (all of them, when they tie). */
const reducedExtremum: GradRule = (node, [dy], emit) => {
  if (dy === undefined) return [];
  const x = input(node, 0);
  const axes = reducedAxes(node, emit);
  const kept = emit.constant(int64s(emit.shape(x).map((dim, axis) => (axes.includes(axis) ? 1 : dim))));
  const [slope, result] = [dy, output(node)].map((each) => emit.op('Reshape', [each, kept])) as [Value, Value];
  return [emit.op('Where', [emit.op('Equal', [x, result]), slope, emit.constant(float32Scalar(0))])];
};

const axisOf = (node: Node, emit: Emitter): number => {
  const rank = emit.shape(output(node)).length;
  const axis = intAttribute(node, 'axis', -1);
  return axis < 0 ? axis + rank : axis;
};

/** Softmax: dx = y (dy - sum(dy y)). */
const softmax: GradRule = (node, [dy], emit) => {
  if (dy === undefined) return [];
  const y = output(node);
  const inner = reduceSum(emit, emit.op('Mul', [dy, y]), [axisOf(node, emit)], true);
  return [emit.op('Mul', [y, emit.op('Sub', [dy, inner])])];
};

/** LogSoftmax: dx = dy - exp(y) sum(dy). */
const logSoftmax: GradRule = (node, [dy], emit) => {
  if (dy === undefined) return [];
  const total = reduceSum(emit, dy, [axisOf(node, emit)], true);
  return [emit.op('Sub', [dy, emit.op('Mul', [emit.op('Exp', [output(node)]), total])])];
};

/**
 * y = w x r with r = 1/sqrt(mean(x^2) + eps) over the last axis (Zhang and Sennrich 2019):
 * dx = r (g - x r^2 mean(g x)) with g = dy w; dw = sum(dy x r).
 */
const rmsNorm: GradRule = (node, [dy], emit) => {
  if (dy === undefined) return [];
  const [x, w] = [input(node, 0), input(node, 1)];
  const last = emit.shape(x).length - 1;
  const epsilon = emit.constant(float32Scalar(floatAttribute(node, 'epsilon', 1e-5)));
  const power = reduceMean(emit, emit.op('Mul', [x, x]), [last]);
  const r = emit.op('Reciprocal', [emit.op('Sqrt', [emit.op('Add', [power, epsilon])])]);
  const g = emit.op('Mul', [dy, w]);
  const pull = emit.op('Mul', [reduceMean(emit, emit.op('Mul', [g, x]), [last]), emit.op('Mul', [r, r])]);
  const dx = emit.op('Mul', [r, emit.op('Sub', [g, emit.op('Mul', [x, pull])])]);
  const dw = emit.wants(w)
    ? unbroadcast(emit, emit.op('Mul', [dy, emit.op('Mul', [x, r])]), emit.shape(x), emit.shape(w))
    : undefined;
  return [dx, dw];
};

export const LINEAR_RULES: Readonly<Record<string, GradRule>> = {
  MatMul: matMul,
  Gemm: gemm,
  ReduceSum: reduction(() => 1),
  ReduceMean: reduction((count) => 1 / count),
  ReduceMax: reducedExtremum,
  ReduceMin: reducedExtremum,
  Softmax: softmax,
  LogSoftmax: logSoftmax,
  SimplifiedLayerNormalization: rmsNorm,
  RMSNormalization: rmsNorm,
};
