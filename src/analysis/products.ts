/** Every product of an activation with something constant, in each operator's own form. */
import type { RefusalCode } from '../diagnostics.js';
import type { DType } from '../ir/dtype.js';
import { floatAttribute, intAttribute, type Node, type Value } from '../ir/graph.js';
import { constantOf } from './constants.js';
import type { Columns } from './parts.js';
import { type ResolvedWeight, resolveWeight, type WeightProblem } from './weights.js';

/** Y [..., N] = alpha * X [..., K] . W (+ bias), where W does not depend on the input of the model. */
export interface Product {
  readonly node: Node;
  readonly input: Value;
  readonly output: Value;
  /** undefined where the weight has no plain matrix form. */
  readonly k: number | undefined;
  readonly n: number | undefined;
  readonly alpha: number;
  readonly bias: Value | undefined;
  readonly weight: ProductWeight | undefined;
  /** Why it cannot be taken; undefined exactly when `weight` is set. */
  readonly problem: WeightProblem | undefined;
  /** Position in the walk over all graphs, outer before inner. */
  readonly position: number;
  /** Where this stands for some columns of another product; `n` and `output` are those of the part. */
  readonly part?: { readonly of: Product; readonly columns: Columns };
}

/** A weight that can be quantized, with its layout. */
export interface ProductWeight extends ResolvedWeight {
  readonly layout: 'KN' | 'NK';
  readonly dtype: DType;
}

/** How one operator holds its operands. */
interface Form {
  /** Input slot of the weight; slot 0 is X everywhere. */
  readonly slot: number;
  readonly transB?: string;
  readonly biasSlot?: number;
  readonly problem?: (node: Node) => WeightProblem | undefined;
}

const refuse = (code: RefusalCode, reason: string): WeightProblem => ({ code, reason });
const quantized = (node: Node): WeightProblem => {
  const [n, k] = [intAttribute(node, 'N', 0), intAttribute(node, 'K', 0)];
  const problem = refuse('already-quantized', `the product is a ${node.op}`);
  return n > 0 && k > 0 ? { ...problem, shape: [k, n] } : problem;
};
const integer = (node: Node, slot: number): WeightProblem => {
  const shape = constantOf(node.inputs[slot])?.shape;
  const problem = refuse('already-quantized', `the product is a ${node.op}`);
  return shape?.length === 2 ? { ...problem, shape } : problem;
};
const experts = (node: Node): WeightProblem => refuse('expert-weights', `the product is a ${node.op}`);
const fused = (): WeightProblem => refuse('no-gated-ffn', 'the fused Attention operator holds its weight itself');

/** Operators that multiply by a weight, by `domain::op` (ONNX and ONNX Runtime contrib operator specifications). */
const FORMS: Readonly<Record<string, Form>> = {
  MatMul: { slot: 1 },
  Gemm: { slot: 1, transB: 'transB', biasSlot: 2, problem: gemmProblem },
  'com.microsoft::FusedMatMul': { slot: 1, transB: 'transB', problem: fusedProblem },
  'com.microsoft::MatMulNBits': { slot: 1, problem: quantized },
  'com.microsoft::MatMulBnb4': { slot: 1, problem: quantized },
  'com.microsoft::MatMulFpQ4': { slot: 1, problem: quantized },
  'com.microsoft::DynamicQuantizeMatMul': { slot: 1, problem: (node) => integer(node, 1) },
  'com.microsoft::MatMulIntegerToFloat': { slot: 1, problem: (node) => integer(node, 1) },
  MatMulInteger: { slot: 1, problem: (node) => integer(node, 1) },
  QLinearMatMul: { slot: 3, problem: (node) => integer(node, 3) },
  'com.microsoft::MoE': { slot: 2, problem: experts },
  'com.microsoft::QMoE': { slot: 2, problem: experts },
  'com.microsoft::Attention': { slot: 1, problem: fused },
};

/** The form of a node that could be a product, whatever its weight is. */
export function formOf(node: Node): Form | undefined {
  return FORMS[node.domain === '' ? node.op : `${node.domain}::${node.op}`];
}

/** The value that a node would take as its weight. */
export function weightOperand(node: Node): Value | undefined {
  const form = formOf(node);
  return form === undefined ? undefined : node.inputs[form.slot];
}

/** Reads a product off a node whose weight operand is known not to depend on the input. */
export function productOf(node: Node, position: number, irVersion: number): Product | undefined {
  const form = formOf(node);
  const [input, output] = [node.inputs[0], node.outputs[0]];
  const operand = weightOperand(node);
  if (form === undefined || input === undefined || output === undefined || operand === undefined) return undefined;
  const found = form.problem?.(node) ?? checkType(resolveWeight(operand, irVersion));
  const flipped = form.transB !== undefined && intAttribute(node, form.transB, 0) === 1;
  const weight = 'code' in found ? undefined : asSeen(found, flipped);
  const shape = 'code' in found ? found.shape : seenShape(found);
  const [k, n] = flipped ? [shape?.[1], shape?.[0]] : [shape?.[0], shape?.[1]];
  const bias = form.biasSlot === undefined ? undefined : node.inputs[form.biasSlot];
  const alpha = node.op === 'FusedMatMul' ? floatAttribute(node, 'alpha', 1) : 1;
  const problem = 'code' in found ? found : undefined;
  return { node, input, output, k, n, alpha, bias, weight, problem, position };
}

function seenShape(weight: ResolvedWeight): readonly number[] {
  return weight.transposed ? weight.tensor.shape.toReversed() : weight.tensor.shape;
}

function asSeen(weight: ResolvedWeight, flipped: boolean): ProductWeight {
  return { ...weight, layout: weight.transposed !== flipped ? 'NK' : 'KN', dtype: dtypeAtUse(weight) };
}

/** MatMul takes X and W of one type, so the type of the operand after its last Cast is the type of X and Y. */
function dtypeAtUse(weight: ResolvedWeight): DType {
  const cast = weight.walk.findLast((node) => node.op === 'Cast' || node.op === 'CastLike');
  const to = cast === undefined ? undefined : intAttribute(cast, 'to', 0);
  const names: Readonly<Record<number, DType>> = { 1: 'float32', 10: 'float16', 11: 'float64', 16: 'bfloat16' };
  return (to === undefined ? undefined : names[to]) ?? weight.tensor.dtype;
}

/** MatMulNBits computes in these; a float64 model has no place to go. */
const FLOATS: ReadonlySet<DType> = new Set(['float32', 'float16', 'bfloat16']);

function checkType(found: ResolvedWeight | WeightProblem): ResolvedWeight | WeightProblem {
  if ('code' in found || (FLOATS.has(found.tensor.dtype) && FLOATS.has(dtypeAtUse(found)))) return found;
  const { tensor, source } = found;
  const code = tensor.dtype.startsWith('float') ? 'weight-dtype' : 'already-quantized';
  return { code, reason: `${source.name} is ${tensor.dtype}`, shape: seenShape(found) };
}

/** Gemm (ONNX Gemm-13): Y = alpha * A . B + beta * C. */
function gemmProblem(node: Node): WeightProblem | undefined {
  const [alpha, beta] = [floatAttribute(node, 'alpha', 1), floatAttribute(node, 'beta', 1)];
  if (intAttribute(node, 'transA', 0) === 1) return refuse('gemm-form', 'the Gemm transposes its input');
  if (alpha !== 1) return refuse('gemm-form', `the Gemm has alpha = ${alpha}`);
  return node.inputs[2] !== undefined && beta !== 1 ? refuse('gemm-form', `the Gemm has beta = ${beta}`) : undefined;
}

function fusedProblem(node: Node): WeightProblem | undefined {
  const moved = ['transA', 'transBatchA', 'transBatchB'].find((name) => intAttribute(node, name, 0) === 1);
  return moved === undefined ? undefined : refuse('gemm-form', `the FusedMatMul has ${moved} = 1`);
}
