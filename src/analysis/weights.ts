/**
 * The weight operand of a product, walked back to the tensor that holds it:
 * through Identity, Cast, Transpose of both dimensions and Reshape to the same shape, to one initializer or Constant.
 */
import type { RefusalCode } from '../diagnostics.js';
import type { DType } from '../onnx/ir/dtype.js';
import { intsAttribute, type Node, placeOf, type Value } from '../onnx/ir/graph.js';
import type { Tensor } from '../onnx/ir/tensor.js';
import { constantOf, isOverridable, numbersOf } from './constants.js';

/** A weight as it is stored, and the way from there to its use. */
export interface ResolvedWeight {
  readonly source: Value;
  readonly tensor: Tensor;
  /** True when an odd number of Transpose nodes lies on the way. */
  readonly transposed: boolean;
  /** From the source on; empty when the product reads the source itself. */
  readonly walk: readonly Node[];
}

/** Why a weight cannot be taken. */
export interface WeightProblem {
  readonly code: RefusalCode;
  readonly reason: string;
  /** The shape that the product sees, where it is known. */
  readonly shape?: readonly number[];
}

/** The walk back from an operand: where it ends, and what lies between. */
export interface Walk {
  readonly end: Value;
  readonly walk: readonly Node[];
}

const STEPS: ReadonlySet<string> = new Set(['Identity', 'Cast', 'Transpose', 'Reshape', 'CastLike']);

/** Walks back from `value` through the operators that only carry a weight. The result may end anywhere. */
export function walkBack(value: Value): Walk {
  const walk: Node[] = [];
  let end = value;
  for (let node = end.producer; node !== undefined && node.domain === '' && STEPS.has(node.op); node = end.producer) {
    const input = node.inputs[0];
    if (input === undefined) break;
    walk.unshift(node);
    end = input;
  }
  return { end, walk };
}

/** Resolves an operand to a constant of rank 2, or says why it is none. `irVersion` decides about overridable initializers. */
export function resolveWeight(value: Value, irVersion: number): ResolvedWeight | WeightProblem {
  const { end, walk } = walkBack(value);
  const tensor = constantOf(end);
  if (tensor === undefined) return notConstant(end);
  if (isOverridable(end, irVersion)) {
    const reason = `${end.name} is also a graph input, so a caller may replace it`;
    return { code: 'weight-overridable', reason, shape: isTransposed(walk) ? tensor.shape.toReversed() : tensor.shape };
  }
  if (tensor.shape.length !== 2) return wrongRank(end, tensor);
  return problemOnWalk(end, tensor, walk) ?? { source: end, tensor, transposed: isTransposed(walk), walk };
}

function notConstant(end: Value): WeightProblem {
  const maker = end.producer;
  const stack = stackBehind(end);
  if (stack !== undefined && maker !== undefined) {
    const [count, k, n] = stack.shape;
    const shape = stack.shape.length === 3 ? { shape: [k as number, n as number] } : {};
    const reason = `${stack.name} [${stack.shape.join(', ')}] holds ${count} matrices, of which ${maker.op} ${placeOf(maker)} takes some`;
    return { code: 'expert-weights', reason, ...shape };
  }
  if (maker !== undefined && DEQUANTIZERS.has(maker.op)) {
    return { code: 'already-quantized', reason: `the weight comes out of ${maker.op} ${placeOf(maker)}` };
  }
  const origin = maker === undefined ? `the graph input ${end.name}` : `computed by ${maker.op} ${placeOf(maker)}`;
  return { code: 'weight-not-constant', reason: `the weight is ${origin}` };
}

/** What takes matrices out of a stack of them, and gives them another form. */
const TAKERS: ReadonlySet<string> = new Set([
  'Gather',
  'GatherND',
  'GatherElements',
  'Slice',
  'Split',
  'Squeeze',
  'Unsqueeze',
  'Reshape',
  'Transpose',
  'Identity',
  'Cast',
  'SequenceAt',
  'SplitToSequence',
]);

/** Types of float weights. MatMulNBits computes in these; a float64 model has no place to go. */
export const WEIGHT_FLOATS: ReadonlySet<DType> = new Set(['float32', 'float16', 'bfloat16']);

/** A constant that holds several float matrices [E, …, k, n] and is neither input nor output of the graph. */
export function stackOf(value: Value | undefined): Tensor | undefined {
  const tensor = constantOf(value);
  if (tensor === undefined || value?.isInput !== false || value.isOutput) return undefined;
  const isStack = tensor.shape.length >= 3 && (tensor.shape[0] as number) > 1 && WEIGHT_FLOATS.has(tensor.dtype);
  return isStack ? tensor : undefined;
}

/** The constant of three and more dimensions that a value is taken out of, by constant indices or by routing. */
export function stackBehind(value: Value): { readonly name: string; readonly shape: readonly number[] } | undefined {
  let at: Value | undefined = value;
  while (at !== undefined && constantOf(at) === undefined) {
    const node: Node | undefined = at.producer;
    if (node === undefined || node.domain !== '' || !TAKERS.has(node.op)) return undefined;
    at = node.inputs[0];
  }
  const shape = constantOf(at)?.shape;
  const isStack = at !== value && shape !== undefined && shape.length >= 3 && (shape[0] as number) > 1;
  return isStack ? { name: (at as Value).name, shape } : undefined;
}

const DEQUANTIZERS: ReadonlySet<string> = new Set(['DequantizeLinear', 'DequantizeBFP', 'DequantizeWithOrder']);

function wrongRank(source: Value, tensor: Tensor): WeightProblem {
  const shape = `[${tensor.shape.join(', ')}]`;
  if (tensor.shape.length === 3 && (tensor.shape[0] ?? 1) > 1) {
    return { code: 'expert-weights', reason: `${source.name} ${shape} holds ${tensor.shape[0]} matrices` };
  }
  return { code: 'weight-rank', reason: `${source.name} has shape ${shape}, not two dimensions` };
}

function problemOnWalk(source: Value, tensor: Tensor, walk: readonly Node[]): WeightProblem | undefined {
  const output = [source, ...walk.map((node) => node.outputs[0])].find((value) => value?.isOutput);
  if (output !== undefined) {
    const shape = isTransposed(walk) ? tensor.shape.toReversed() : tensor.shape;
    return { code: 'graph-output', reason: `${output.name} is a graph output`, shape };
  }
  let shape = tensor.shape;
  for (const node of walk) {
    const after = shapeAfter(node, shape);
    if (after === undefined) {
      return { code: 'weight-rank', reason: `${node.op} ${placeOf(node)} gives the weight another shape` };
    }
    shape = after;
  }
  return undefined;
}

/** The shape after one step of a walk over a rank-2 tensor; undefined when the step changes more than the order of dimensions. */
function shapeAfter(node: Node, shape: readonly number[]): readonly number[] | undefined {
  if (node.op === 'Transpose') {
    const perm = intsAttribute(node, 'perm') ?? [1, 0];
    return String(perm) === '1,0' ? [...shape].reverse() : undefined;
  }
  if (node.op !== 'Reshape') return shape;
  const wanted = numbersOf(node.inputs[1]);
  const same =
    wanted?.length === shape.length && wanted.every((dim, axis) => dim === -1 || dim === 0 || dim === shape[axis]);
  return same ? shape : undefined;
}

function isTransposed(walk: readonly Node[]): boolean {
  return walk.filter((node) => node.op === 'Transpose').length % 2 === 1;
}

/** Every node that reads the constant behind `source` for real: users of carried copies (Cast, Transpose …) in their place. */
export function readersOf(source: Value): readonly Node[] {
  const readers: Node[] = [];
  for (const { node, slot } of source.uses) {
    const carried = slot === 0 && node.domain === '' && STEPS.has(node.op) ? node.outputs[0] : undefined;
    if (carried === undefined) readers.push(node);
    else readers.push(...readersOf(carried));
  }
  return readers;
}
