/** Gradient rules of elementwise operators, and the one straight-through rule. */
import { floatAttribute, type Node, stringAttribute, type Value } from '../onnx/ir/graph.js';
import { float32Scalar } from '../onnx/ir/tensor.js';
import { unbroadcast } from './broadcast.js';
import type { Emitter, GradRule } from './emitter.js';

const scalar = (emit: Emitter, value: number): Value => emit.constant(float32Scalar(value));
const mul = (emit: Emitter, a: Value, b: Value): Value => emit.op('Mul', [a, b]);
const input = (node: Node, slot: number): Value => node.inputs[slot] as Value;
const output = (node: Node): Value => node.outputs[0] as Value;

/** A one-input rule: dx = dy * factor(x, y). */
function unary(factor: (emit: Emitter, x: Value, y: Value, node: Node) => Value): GradRule {
  return (node, [dy], emit) =>
    dy === undefined ? [] : [mul(emit, dy, factor(emit, input(node, 0), output(node), node))];
}

/** A two-input broadcasting rule: each side gives the gradient in the result's shape, un-broadcast here. */
function binary(
  left: (emit: Emitter, dy: Value, node: Node) => Value,
  right: (emit: Emitter, dy: Value, node: Node) => Value,
): GradRule {
  return (node, [dy], emit) => {
    if (dy === undefined) return [];
    return [left, right].map((side, slot) => {
      const operand = node.inputs[slot];
      if (operand === undefined || !emit.wants(operand)) return undefined;
      return unbroadcast(emit, side(emit, dy, node), emit.shape(output(node)), emit.shape(operand));
    });
  };
}

/** Picks dy where the element was chosen, else zero: Where(mask, dy, 0). */
const masked = (emit: Emitter, mask: Value, dy: Value): Value => emit.op('Where', [mask, dy, scalar(emit, 0)]);

/** Min and Max of any number of operands: the gradient goes to the operand that equals the result (both, when they tie). */
const extremum: GradRule = (node, [dy], emit) =>
  node.inputs.map((operand) => {
    if (dy === undefined || operand === undefined || !emit.wants(operand)) return undefined;
    const chosen = masked(emit, emit.op('Equal', [operand, output(node)]), dy);
    return unbroadcast(emit, chosen, emit.shape(output(node)), emit.shape(operand));
  });

/** Clip passes the gradient strictly inside its bounds and at them; the bounds get what is cut off. */
const clip: GradRule = (node, [dy], emit) => {
  if (dy === undefined) return [];
  const [x, low, high] = node.inputs;
  const inside = masked(emit, emit.op('Equal', [x, output(node)]), dy);
  const toBound = (bound: Value | undefined, op: 'Less' | 'Greater'): Value | undefined => {
    if (bound === undefined || !emit.wants(bound)) return undefined;
    return unbroadcast(emit, masked(emit, emit.op(op, [x, bound]), dy), emit.shape(output(node)), emit.shape(bound));
  };
  return [inside, toBound(low, 'Less'), toBound(high, 'Greater')];
};

/** d gelu_tanh(x)/dx with t = tanh(u), u = c(x + a x^3): 0.5(1 + t) + 0.5 x (1 - t^2) c (1 + 3 a x^2). */
function geluTanhSlope(emit: Emitter, x: Value): Value {
  const c = Math.sqrt(2 / Math.PI);
  const square = mul(emit, x, x);
  const u = mul(emit, x, emit.op('Add', [scalar(emit, c), mul(emit, square, scalar(emit, c * 0.044715))]));
  const t = emit.op('Tanh', [u]);
  const du = emit.op('Add', [scalar(emit, c), mul(emit, square, scalar(emit, 3 * c * 0.044715))]);
  const sech = emit.op('Sub', [scalar(emit, 1), mul(emit, t, t)]);
  const sum = emit.op('Add', [emit.op('Add', [t, scalar(emit, 1)]), mul(emit, mul(emit, x, sech), du)]);
  return mul(emit, sum, scalar(emit, 0.5));
}

/** d gelu(x)/dx = Phi(x) + x phi(x), with Phi by Erf. */
function geluSlope(emit: Emitter, x: Value): Value {
  const phi = mul(
    emit,
    emit.op('Exp', [mul(emit, mul(emit, x, x), scalar(emit, -0.5))]),
    scalar(emit, 1 / Math.sqrt(2 * Math.PI)),
  );
  const erf = emit.op('Erf', [mul(emit, x, scalar(emit, Math.SQRT1_2))]);
  const cdf = mul(emit, emit.op('Add', [erf, scalar(emit, 1)]), scalar(emit, 0.5));
  return emit.op('Add', [cdf, mul(emit, x, phi)]);
}

/** d x sigmoid(alpha x)/dx = s + alpha x s (1 - s). */
function swishSlope(emit: Emitter, x: Value, alpha: number): Value {
  const scaled = alpha === 1 ? x : mul(emit, x, scalar(emit, alpha));
  const s = emit.op('Sigmoid', [scaled]);
  const rest = mul(emit, scaled, emit.op('Sub', [scalar(emit, 1), s]));
  return mul(emit, s, emit.op('Add', [scalar(emit, 1), rest]));
}

/** Pow with a constant exponent: dx = dy * p * x^(p-1). */
const pow: GradRule = (node, [dy], emit) => {
  if (dy === undefined) return [];
  const x = input(node, 0);
  const exponent = input(node, 1);
  const lower = emit.op('Sub', [exponent, scalar(emit, 1)]);
  const slope = mul(emit, exponent, emit.op('Pow', [x, lower]));
  return [unbroadcast(emit, mul(emit, dy, slope), emit.shape(output(node)), emit.shape(x)), undefined];
};

const where: GradRule = (node, [dy], emit) => {
  if (dy === undefined) return [];
  const zero = scalar(emit, 0);
  const condition = input(node, 0);
  const sides = [emit.op('Where', [condition, dy, zero]), emit.op('Where', [condition, zero, dy])];
  return [
    undefined,
    ...sides.map((side, at) => unbroadcast(emit, side, emit.shape(output(node)), emit.shape(input(node, at + 1)))),
  ];
};

/** Operators that are constant almost everywhere: no gradient flows, and that is said here, not forgotten. */
const none: GradRule = (node) => node.inputs.map(() => undefined);

/** The straight-through estimator (Bengio et al. 2013): rounding is the identity going back. Used by name only. */
export const straightThrough: GradRule = (_node, dy) => [dy[0]];

export const ELEMENTWISE_RULES: Readonly<Record<string, GradRule>> = {
  Add: binary(
    (_, dy) => dy,
    (_, dy) => dy,
  ),
  Sub: binary(
    (_, dy) => dy,
    (emit, dy) => emit.op('Neg', [dy]),
  ),
  Mul: binary(
    (emit, dy, node) => mul(emit, dy, input(node, 1)),
    (emit, dy, node) => mul(emit, dy, input(node, 0)),
  ),
  Div: binary(
    (emit, dy, node) => emit.op('Div', [dy, input(node, 1)]),
    (emit, dy, node) => emit.op('Neg', [emit.op('Div', [mul(emit, dy, output(node)), input(node, 1)])]),
  ),
  Pow: pow,
  Min: extremum,
  Max: extremum,
  Clip: clip,
  Where: where,
  Neg: unary((emit) => scalar(emit, -1)),
  Sqrt: unary((emit, _x, y) => emit.op('Div', [scalar(emit, 0.5), y])),
  Reciprocal: unary((emit, _x, y) => emit.op('Neg', [mul(emit, y, y)])),
  Exp: unary((_emit, _x, y) => y),
  Log: unary((emit, x) => emit.op('Reciprocal', [x])),
  Abs: unary((emit, x) => emit.op('Sign', [x])),
  Sin: unary((emit, x) => emit.op('Cos', [x])),
  Cos: unary((emit, x) => emit.op('Neg', [emit.op('Sin', [x])])),
  Erf: unary((emit, x) =>
    mul(emit, emit.op('Exp', [emit.op('Neg', [mul(emit, x, x)])]), scalar(emit, 2 / Math.sqrt(Math.PI))),
  ),
  Tanh: unary((emit, _x, y) => emit.op('Sub', [scalar(emit, 1), mul(emit, y, y)])),
  Sigmoid: unary((emit, _x, y) => mul(emit, y, emit.op('Sub', [scalar(emit, 1), y]))),
  Relu: unary((emit, x) =>
    emit.op('Cast', [emit.op('Greater', [x, scalar(emit, 0)])], { to: { kind: 'int', value: 1n } }),
  ),
  Softplus: unary((emit, x) => emit.op('Sigmoid', [x])),
  Gelu: unary((emit, x, _y, node) =>
    stringAttribute(node, 'approximate', 'none') === 'tanh' ? geluTanhSlope(emit, x) : geluSlope(emit, x),
  ),
  Swish: unary((emit, x, _y, node) => swishSlope(emit, x, floatAttribute(node, 'alpha', 1))),
  'com.microsoft::QuickGelu': unary((emit, x, _y, node) => swishSlope(emit, x, floatAttribute(node, 'alpha', 1.702))),
  'com.microsoft::Gelu': unary((emit, x) => geluSlope(emit, x)),
  Identity: (_node, dy) => [dy[0]],
  Round: none,
  Floor: none,
  Ceil: none,
  Sign: none,
  Equal: none,
  Less: none,
  LessOrEqual: none,
  Greater: none,
  GreaterOrEqual: none,
  And: none,
  Or: none,
  Not: none,
  IsNaN: none,
  Shape: none,
  ConstantOfShape: none,
  ArgMax: none,
  'matquant::StraightThroughRound': straightThrough,
};
