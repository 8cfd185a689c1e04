import { describe, expect, it } from '@jest/globals';
import { expandFusedMatmul } from '../../passes/expand-fused-matmul.js';
import { float, int } from '../../src/onnx/ir/attribute.js';
import type { Model } from '../../src/onnx/ir/graph.js';
import { float32s } from '../../src/onnx/ir/tensor.js';
import { GraphBuilder } from '../../src/onnx/rewrite/builder.js';
import { runPasses, step } from '../../src/onnx/rewrite/run-passes.js';
import { floats } from '../../src/runtime/runtime.js';
import { noise } from '../support/decoder.js';
import { expectSameNumbers } from '../support/numeric.js';

const [ROWS, INNER, COLUMNS] = [5, 7, 6];

/** a [2, rows, inner] by a weight [inner, columns], each possibly stored the other way round. */
function product(transA: number, transB: number, alpha: number): Model {
  const b = new GraphBuilder();
  const a = b.input('a', 'float32', transA ? [2, INNER, ROWS] : [2, ROWS, INNER]);
  const w = b.constant(float32s(noise(INNER * COLUMNS, 1), transB ? [COLUMNS, INNER] : [INNER, COLUMNS]), 'w');
  const attributes = { transA: int(transA), transB: int(transB), alpha: float(alpha) };
  const active = b.op('Tanh', [a]);
  const y = b.op('com.microsoft::FusedMatMul', [active, w], attributes);
  b.output(y, 'y', { dtype: 'float32', shape: [2, ROWS, COLUMNS] });
  return b.model();
}

describe('expand-fused-matmul', () => {
  it.each([
    [0, 0, 1, ['Tanh', 'MatMul']],
    [1, 0, 0.125, ['Tanh', 'Transpose', 'MatMul', 'Mul']],
    [0, 1, 3, ['Tanh', 'Transpose', 'MatMul', 'Mul']],
    [1, 1, 1, ['Tanh', 'Transpose', 'Transpose', 'MatMul']],
  ])('computes the same with transA %d, transB %d, alpha %d, within 1e-6', async (transA, transB, alpha, expected) => {
    const a = floats(noise(2 * ROWS * INNER, 2), transA ? [2, INNER, ROWS] : [2, ROWS, INNER]);
    const ops = await expectSameNumbers(expandFusedMatmul, product(transA, transB, alpha), { a }, 1e-6);
    expect(ops).toEqual(expected);
  });

  it('leaves products with transposed batch axes', () => {
    const b = new GraphBuilder();
    const a = b.input('a', 'float32', [INNER, 2, ROWS]);
    const y = b.op('com.microsoft::FusedMatMul', [a, b.input('b', 'float32', [2, INNER, 3])], { transBatchA: int(1) });
    b.output(y, 'y', { dtype: 'float32', shape: [2, 2, 3] });
    expect(runPasses(b.model(), [step(expandFusedMatmul)])[0]?.changes).toEqual([]);
  });
});
