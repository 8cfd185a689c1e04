import { expect, it } from '@jest/globals';
import { DTYPES, type DType } from '../../../src/onnx/ir/dtype.js';
import { tensorOf } from '../../../src/onnx/ir/tensor.js';
import { GraphBuilder } from '../../../src/onnx/rewrite/builder.js';
import { fittingIr } from '../../../src/onnx/rewrite/fitting-ir.js';

function irOf(irVersion: number, opset: number, dtype: DType = 'float32'): number {
  const b = new GraphBuilder({ opset, irVersion });
  const bytes = new Uint8Array(DTYPES[dtype].bits);
  b.output(b.op('Identity', [b.constant(tensorOf(dtype, [8], bytes), 'c')]), 'y');
  return fittingIr(b.model());
}

it.each([
  [14, 17, 'float32', 10],
  [14, 23, 'float32', 11],
  [20, 25, 'float32', 13],
  [14, 17, 'int4', 10],
  [14, 17, 'int2', 13],
  [7, 17, 'float32', 7],
  [9, 21, 'float32', 9],
] as const)('IR %i at operator set %i with %s becomes %i', (irVersion, opset, dtype, expected) => {
  expect(irOf(irVersion, opset, dtype)).toBe(expected);
});
