/** Operators by what they do to data, as the finder needs to know it. Keys are `op` or `domain::op`. */
import type { Node } from '../onnx/ir/graph.js';

/** `op` in the default domain, `domain::op` elsewhere. */
export function keyOf(node: Node): string {
  return node.domain === '' ? node.op : `${node.domain}::${node.op}`;
}

/** Same elements, other shape or type: the first input carries the data. */
const CARRIERS: ReadonlySet<string> = new Set([
  'Identity',
  'Cast',
  'CastLike',
  'Reshape',
  'Flatten',
  'Squeeze',
  'Unsqueeze',
  'Dropout',
]);

/** Other order or selection of elements; the first input carries the data. */
const MOVERS: ReadonlySet<string> = new Set([
  'Transpose',
  'Slice',
  'Gather',
  'GatherND',
  'Split',
  'Expand',
  'Tile',
  'GatherElements',
]);

/** Elementwise, and linear in each data input where the other is fixed (or a guard against overflow). */
const LINEAR: ReadonlySet<string> = new Set([
  'Add',
  'Sub',
  'Mul',
  'Div',
  'Neg',
  'Sum',
  'Clip',
  'Min',
  'Max',
  'Where',
  'Mean',
  'Equal',
  'Greater',
  'Less',
  'GreaterOrEqual',
  'LessOrEqual',
  'Not',
  'And',
  'Or',
  'Xor',
  'IsNaN',
  'IsInf',
  'com.microsoft::BiasAdd',
]);

/** Activations that are one operator and go by its name. */
export const NAMED_ACTIVATIONS: ReadonlySet<string> = new Set([
  'Relu',
  'LeakyRelu',
  'PRelu',
  'Elu',
  'Celu',
  'Selu',
  'Softplus',
  'Softsign',
  'HardSigmoid',
  'HardSwish',
  'Mish',
  'ThresholdedRelu',
  'Exp',
]);

/** Elementwise and not linear: what makes an activation. */
const NONLINEAR: ReadonlySet<string> = new Set([
  ...NAMED_ACTIVATIONS,
  'Sigmoid',
  'Tanh',
  'Gelu',
  'Swish',
  'Erf',
  'Log',
  'Pow',
  'Sqrt',
  'Reciprocal',
  'Abs',
  'Sign',
  'Round',
  'Floor',
  'Ceil',
  'com.microsoft::QuickGelu',
  'com.microsoft::FastGelu',
  'com.microsoft::Gelu',
  'com.microsoft::BiasGelu',
]);

/** Statistics over an axis: Gemma 3n puts mean and deviation between the gate and its activation. */
const REDUCERS: ReadonlySet<string> = new Set([
  'ReduceMean',
  'ReduceSum',
  'ReduceSumSquare',
  'ReduceL2',
  'ReduceMax',
  'ReduceMin',
  'ReduceProd',
]);

/** Operators that read only the shape of their input. */
const SHAPES: ReadonlySet<string> = new Set(['Shape', 'Size']);

export const isCarrier = (node: Node): boolean => CARRIERS.has(keyOf(node));
export const isMover = (node: Node): boolean => MOVERS.has(keyOf(node));
export const isNonlinear = (node: Node): boolean => NONLINEAR.has(keyOf(node));
export const isReducer = (node: Node): boolean => REDUCERS.has(keyOf(node));
export const readsShape = (node: Node): boolean => SHAPES.has(keyOf(node));
/** Everything that works element by element, activations included. */
export const isElementwise = (node: Node): boolean => LINEAR.has(keyOf(node)) || NONLINEAR.has(keyOf(node));
