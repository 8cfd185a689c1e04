/**
 * Which nodes of a float32 graph keep computing in float32 when the others change to float16: where digits or range would be lost, and
 * where a change would only add casts.
 */
import { isOp, type Model, type Node, type Value, valuesIn } from '../onnx/ir/graph.js';
import { lossAsHalf } from '../onnx/ir/half-storage.js';
import { anglesOf } from './angles.js';
import { constantNodes } from './constant-nodes.js';
import { constantOf } from './constants.js';
import { elementTypeOf } from './element-types.js';
import { isCarrier, isMover, keyOf } from './operators.js';

/** Why a node stays float32. */
export type Float32Reason =
  /** Computed once, when a session is made. */
  | 'constant'
  /** No float16 form is known to run everywhere, or it sums in float16. */
  | 'operator'
  /** An angle of a rotation: 2^-11 of position 2048 is a radian. */
  | 'angle'
  /** Mean of squares and what is divided by its root. */
  | 'norm'
  /** Sum of a normalized value with what another norm reads: the residual stream of Gemma, which has no float16 around it. */
  | 'stream'
  /** An input or output is a value that was measured to leave the range of float16. */
  | 'range'
  /** A constant input is beyond the range of float16 or loses digits. */
  | 'digits'
  /** Moves float32 values that nobody has computed in float16. */
  | 'moves';

/** Operators with float16 kernels in ONNX Runtime Web (WebGPU) whose sums, if any, are taken in float32 there. */
const HALF: ReadonlySet<string> = new Set([
  ...['Add', 'Sub', 'Mul', 'Div', 'Neg', 'Pow', 'Sum', 'Min', 'Max', 'Clip', 'Where', 'Concat'],
  ...['Relu', 'Sigmoid', 'Tanh', 'Erf', 'Gelu', 'Softmax', 'MatMul', 'Gemm'],
  ...['LayerNormalization', 'SimplifiedLayerNormalization', 'RMSNormalization', 'RotaryEmbedding'],
  ...['RotaryEmbedding', 'GroupQueryAttention', 'MultiHeadAttention', 'SkipSimplifiedLayerNormalization'].map(
    (op) => `com.microsoft::${op}`,
  ),
  ...['SkipLayerNormalization', 'SimplifiedLayerNormalization', 'QuickGelu', 'FastGelu', 'Gelu', 'BiasGelu'].map(
    (op) => `com.microsoft::${op}`,
  ),
  'com.microsoft::MatMulNBits',
  'com.microsoft::GatherBlockQuantized',
  'matquant::Projection',
  'matquant::Rows',
]);

/** Elementwise steps of a normalization. */
const STEPS = new Set(['Add', 'Sub', 'Mul', 'Div', 'Pow', 'Sqrt', 'Reciprocal', 'Max', 'Clip', 'Cast']);

/**
 * The nodes of the main graph that stay float32, with the first reason that holds. `floats` are the float32 values of the graph,
 * `wide` the names of those that leave the range of float16.
 */
export function float32Nodes(
  model: Model,
  floats: ReadonlySet<Value>,
  wide: ReadonlySet<string>,
): ReadonlyMap<Node, Float32Reason> {
  const constants = constantNodes(model);
  const moves = (node: Node): boolean =>
    isMover(node) || (isCarrier(node) && !/^Cast|^Dropout$/.test(node.op)) || isNoCast(node, floats);
  const angles = anglesOf(model);
  const isConstant = (value: Value): boolean =>
    constantOf(value) !== undefined || (value.producer !== undefined && constants.has(value.producer));
  const norms = normNodes(model, floats, isConstant);
  const losses = new Map<Value, boolean>();
  const found = new Map<Node, Float32Reason>();
  const isFloat = (value: Value | undefined): value is Value => value !== undefined && floats.has(value);
  const loses = (value: Value): boolean => {
    const known = losses.get(value) ?? losesDigits(value);
    losses.set(value, known);
    return known;
  };
  for (const node of model.graph.nodes) {
    const inputs = node.inputs.filter(isFloat);
    const outputs = node.outputs.filter(isFloat);
    const isMoved = (value: Value): boolean =>
      constantOf(value) !== undefined || (value.producer !== undefined && found.has(value.producer));
    const rules: readonly (readonly [Float32Reason, () => boolean])[] = [
      ['constant', () => constants.has(node)],
      ['stream', () => norms.has(node) && isOp(node, 'Add') && inputs.every((value) => !isConstant(value))],
      ['norm', () => norms.has(node)],
      ['operator', () => !(HALF.has(keyOf(node)) || moves(node))],
      ['angle', () => outputs.some((value) => angles.has(value))],
      ['range', () => [...inputs, ...outputs].some(({ name }) => wide.has(name))],
      ['digits', () => inputs.some(loses)],
      ['moves', () => (moves(node) || node.op === 'Concat') && inputs.length > 0 && inputs.every(isMoved)],
    ];
    const reason = rules.find(([, holds]) => holds())?.[0];
    if (reason !== undefined) found.set(node, reason);
  }
  return found;
}

/** The float32 values of the main graph. */
export const float32Values = ({ graph }: Model): ReadonlySet<Value> =>
  new Set([...valuesIn(graph)].filter((value) => elementTypeOf(value) === 'float32'));

/** True for a Cast from float32 to float32, which a graph of another type had a use for. */
export const isNoCast = (node: Node, floats: ReadonlySet<Value>): boolean =>
  [...node.inputs, ...node.outputs].every((value) => value !== undefined && floats.has(value)) && isOp(node, 'Cast');

function losesDigits(value: Value): boolean {
  const tensor = constantOf(value);
  return tensor?.dtype === 'float32' && lossAsHalf(tensor) !== undefined;
}

/** Square, mean, root and quotient of every normalization, products and sums of that with constants, and with what some other one has squared. */
function normNodes(model: Model, floats: ReadonlySet<Value>, isConstant: (value: Value) => boolean): ReadonlySet<Node> {
  const { found, sources } = meansOf(model);
  const isInside = ({ producer }: Value): boolean => producer !== undefined && found.has(producer);
  const isKnown = (value: Value): boolean =>
    !floats.has(value) || sources.has(value) || isInside(value) || isConstant(value);
  for (const node of model.graph.nodes) {
    if (node.domain !== '' || !STEPS.has(node.op)) continue;
    const inputs = node.inputs.filter((value) => value !== undefined);
    if (inputs.some(isInside) && inputs.every(isKnown)) found.add(node);
  }
  return found;
}

/** Means with the squares that they are taken of, and what was squared. */
function meansOf(model: Model): { readonly found: Set<Node>; readonly sources: ReadonlySet<Value> } {
  const found = new Set<Node>();
  const sources = new Set<Value>();
  for (const node of model.graph.nodes.filter((each) => keyOf(each) === 'ReduceMean')) {
    found.add(node);
    const [data] = node.inputs;
    const maker = data?.producer;
    const square = isSquare(maker) ? maker : undefined;
    if (square !== undefined) found.add(square);
    const source = square === undefined ? data : square.inputs[0];
    if (source !== undefined) sources.add(source);
  }
  return { found, sources };
}

const isSquare = (node: Node | undefined): node is Node =>
  node !== undefined && (keyOf(node) === 'Pow' || (keyOf(node) === 'Mul' && node.inputs[0] === node.inputs[1]));
