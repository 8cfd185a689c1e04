/**
 * Products without transposes and factors inside.
 *
 * Matches: com.microsoft FusedMatMul(a, b) with transA, transB and alpha.
 * Becomes: Transpose of the last two axes where asked for, MatMul, and Mul by alpha unless it is 1.
 * Why it is sound: the specification of the operator.
 * Refuses when: the batch axes are transposed too, or the rank of a transposed operand or the element type cannot be told.
 */
import { elementTypeOf } from '../src/analysis/element-types.js';
import { rankOf } from '../src/analysis/rank.js';
import { ints } from '../src/onnx/ir/attribute.js';
import { floatAttribute, intAttribute, type Node, placeOf, type Value } from '../src/onnx/ir/graph.js';
import type { FloatDType } from '../src/onnx/ir/half.js';
import { floatScalar } from '../src/onnx/ir/tensor.js';
import { definePass, type NoOptions, noOptions, type Pass } from '../src/onnx/rewrite/define-pass.js';
import { applyRule, failed, type Match, matched, type Rule } from '../src/onnx/rewrite/match.js';
import type { Rewriter } from '../src/onnx/rewrite/rewriter.js';

/** A factor of the product: the value, and the rank when its last two axes change places. */
interface Operand {
  readonly value: Value;
  readonly transposed: number | undefined;
}

interface Fused {
  readonly node: Node;
  readonly operands: readonly Operand[];
  readonly alpha: number;
  readonly dtype: FloatDType;
}

const rule: Rule<Fused> = { ops: ['com.microsoft::FusedMatMul'], match, apply: expand };

export const expandFusedMatmul: Pass<NoOptions> = definePass({
  name: 'expand-fused-matmul',
  summary: 'Splits fused products into transposes, factors and a product.',
  options: noOptions,
  keeps: 'values',
  run(rw) {
    applyRule(rw, rule);
  },
});

const FLOATS: readonly FloatDType[] = ['float32', 'float16', 'bfloat16', 'float64'];

function match(node: Node): Match<Fused> {
  const at = placeOf(node);
  if (intAttribute(node, 'transBatchA', 0) + intAttribute(node, 'transBatchB', 0) > 0)
    return failed(at, 'its batch axes are transposed');
  const operands: Operand[] = [];
  for (const [slot, name] of ['transA', 'transB'].entries()) {
    const value = node.inputs[slot];
    if (value === undefined) return failed(at, 'an operand is absent');
    const transposed = intAttribute(node, name, 0) === 0 ? undefined : (rankOf(value) ?? 0);
    // A vector is not transposed by the operator; exporters do not write that.
    if (transposed !== undefined && transposed < 2) return failed(at, `the rank of ${value.name} cannot be told`);
    operands.push({ value, transposed });
  }
  const dtype = FLOATS.find((each) => operands.some(({ value }) => elementTypeOf(value) === each));
  if (dtype === undefined) return failed(at, 'its element type cannot be told');
  return matched({ node, operands, alpha: floatAttribute(node, 'alpha', 1), dtype });
}

function expand(rw: Rewriter, { node, operands, alpha, dtype }: Fused): void {
  const at = placeOf(node);
  const inputs = operands.map(({ value, transposed }, slot) =>
    transposed === undefined
      ? value
      : rw.insert(node, {
          op: 'Transpose',
          inputs: [value],
          attributes: { perm: ints(swapped(transposed)) },
          name: `${at}/transpose_${slot === 0 ? 'a' : 'b'}`,
        }),
  );
  if (alpha === 1) {
    rw.replaceNode(node, { op: 'MatMul', inputs, name: at });
    return;
  }
  const product = rw.insert(node, { op: 'MatMul', inputs, name: `${at}/product` });
  const factor = floatScalar(alpha, dtype);
  rw.replaceNode(node, { op: 'Mul', inputs: [product, rw.initializer(node.graph, `${at}/alpha`, factor)], name: at });
}

/** The axes of a tensor with the last two exchanged. */
const swapped = (rank: number): readonly number[] => [
  ...Array.from({ length: rank - 2 }, (_, axis) => axis),
  rank - 1,
  rank - 2,
];
