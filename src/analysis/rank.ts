/** The rank of a value where the file does not say it. */
import type { Node, Value } from '../onnx/ir/graph.js';
import { constantOf } from './constants.js';
import { keyOf } from './operators.js';

/** Operators whose first output has the rank of their first input. */
const KEEPERS: ReadonlySet<string> = new Set([
  'Identity',
  'Cast',
  'Transpose',
  'Slice',
  'Softmax',
  'LogSoftmax',
  'Neg',
  'Abs',
  'Sqrt',
  'Reciprocal',
  'Exp',
  'Tanh',
  'Erf',
  'Sigmoid',
  'Relu',
  'Softplus',
  'Gelu',
  'Swish',
  'Clip',
  'Dropout',
  'LayerNormalization',
  'RMSNormalization',
  'SimplifiedLayerNormalization',
  'com.microsoft::SkipSimplifiedLayerNormalization',
  'com.microsoft::FastGelu',
  'com.microsoft::QuickGelu',
  'com.microsoft::Gelu',
]);

/** Operators that broadcast their inputs: the larger rank wins. A product of matrices of rank 2 and more is one of them. */
const BROADCASTERS: ReadonlySet<string> = new Set([
  'Add',
  'Sub',
  'Mul',
  'Div',
  'Pow',
  'Min',
  'Max',
  'Where',
  'MatMul',
  'com.microsoft::FusedMatMul',
]);

/** Number of dimensions, from the file or from the values it is made of; undefined when it cannot be told. */
export function rankOf(value: Value, known: Map<Value, number | undefined> = new Map()): number | undefined {
  if (known.has(value)) return known.get(value);
  const stated = value.type?.shape?.length ?? constantOf(value)?.shape.length;
  const isFirst = value.producer !== undefined && value.producer.outputs[0] === value;
  const rank = stated ?? (isFirst ? rankOfOutput(value.producer as Node, known) : undefined);
  known.set(value, rank);
  return rank;
}

/** Values are remembered because a residual stream reaches the same ones over twice as many paths with every layer. */
function rankOfOutput(node: Node, known: Map<Value, number | undefined>): number | undefined {
  const key = keyOf(node);
  const ranks = node.inputs.map((input) => input && rankOf(input, known));
  if (KEEPERS.has(key)) return ranks[0];
  if (key === 'Reshape') return constantOf(node.inputs[1])?.shape[0];
  if (!BROADCASTERS.has(key)) return undefined;
  return ranks.some((rank) => rank === undefined) ? undefined : Math.max(...(ranks as number[]));
}
