/** Every product of an activation with something constant, in each operator's own form. */
import type { DType } from '../onnx/ir/dtype.js';
import { floatAttribute, intAttribute, type Node, type Value } from '../onnx/ir/graph.js';
import { WITHIN_FLOAT32 } from '../onnx/ir/half.js';
import { constantOf } from './constants.js';
import type { Columns } from './parts.js';
import { formOf, isMatrix } from './product-forms.js';
import { type ResolvedWeight, resolveWeight, stackBehind, type WeightProblem, walkBack } from './weights.js';

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

/** Where a node holds its weight and X: `isWeight` tells a weight from data. Undefined when it is no product with a weight. */
export function operandsOf(node: Node, isWeight: (value: Value) => boolean): Operands | undefined {
  const form = formOf(node);
  const slot = form?.slots.find((each) => {
    const value = node.inputs[each];
    if (value === undefined || !isWeight(value)) return false;
    return each === form.bare || isMatrix(constantOf(walkBack(value).end)?.shape) || stackBehind(value) !== undefined;
  });
  if (slot === undefined) return undefined;
  const [weight, input] = [node.inputs[slot], node.inputs[slot === 0 ? 1 : 0]];
  return weight === undefined || input === undefined ? undefined : { slot, weight, input };
}

export interface Operands {
  readonly slot: number;
  readonly weight: Value;
  readonly input: Value;
}

/** Reads a product off a node whose weight operand is known not to depend on the input. */
export function productOf(
  node: Node,
  { slot, weight: operand, input }: Operands,
  position: number,
  irVersion: number,
): Product | undefined {
  const form = formOf(node);
  const output = node.outputs[0];
  if (form === undefined || output === undefined) return undefined;
  const found = form.problem?.(node, slot) ?? checkType(resolveWeight(operand, irVersion));
  const flipped =
    form.transB === undefined ? (form.flips?.(node, slot) ?? false) : intAttribute(node, form.transB, 0) === 1;
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

function checkType(found: ResolvedWeight | WeightProblem): ResolvedWeight | WeightProblem {
  if ('code' in found || (WITHIN_FLOAT32.has(found.tensor.dtype) && WITHIN_FLOAT32.has(dtypeAtUse(found))))
    return found;
  const { tensor, source } = found;
  const code = tensor.dtype.startsWith('float') ? 'weight-dtype' : 'already-quantized';
  return { code, reason: `${source.name} is ${tensor.dtype}`, shape: seenShape(found) };
}
