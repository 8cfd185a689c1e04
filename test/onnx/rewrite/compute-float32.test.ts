/** bfloat16 models: computed in float32 where asked, measured so always. */
import { describe, expect, it } from '@jest/globals';
import { int, tensor } from '../../../src/onnx/ir/attribute.js';
import { DTYPES } from '../../../src/onnx/ir/dtype.js';
import type { Value } from '../../../src/onnx/ir/graph.js';
import { bfloat16ToFloat32, float32ToBfloat16 } from '../../../src/onnx/ir/half.js';
import { tensorOf } from '../../../src/onnx/ir/tensor.js';
import { GraphBuilder } from '../../../src/onnx/rewrite/builder.js';
import { computeInFloat32, computesIn } from '../../../src/onnx/rewrite/compute-float32.js';
import { floats } from '../../../src/runtime/runtime.js';
import { noise } from '../../support/decoder.js';
import { outputsOf } from '../../support/numeric.js';

const BFLOAT16 = int(DTYPES.bfloat16.onnx);
const bits = float32ToBfloat16(noise(12, 1));
const half = float32ToBfloat16(Float32Array.of(0.5));

/** y = (x as bfloat16) · W + 0.5, everything but x in bfloat16. */
function product(): GraphBuilder {
  const b = new GraphBuilder({ opset: 18 });
  const x = b.op('Cast', [b.input('x', 'float32', [2, 4])], { to: BFLOAT16 });
  const y = b.op('MatMul', [x, b.constant(tensorOf('bfloat16', [4, 3], bits), 'w')]);
  const shift = b.op('Constant', [], { value: tensor(tensorOf('bfloat16', [1], half)) });
  b.output(b.op('Add', [y, shift]), 'y', { dtype: 'bfloat16', shape: [2, 3] });
  return b;
}

describe('computeInFloat32', () => {
  it('gives the products of the widened numbers, and float32 at the edge', async () => {
    const b = product();
    expect(computesIn(b.model(), 'bfloat16')).toBe(true);
    computeInFloat32(b.rewriter);
    expect(computesIn(b.model(), 'bfloat16')).toBe(false);
    expect(b.model().graph.outputs[0]?.type).toEqual({ dtype: 'float32', shape: [2, 3] });
    const x = noise(8, 2);
    const { y } = await outputsOf(b.model(), { x: floats(x, [2, 4]) });
    const w = bfloat16ToFloat32(bits);
    for (let row = 0; row < 2; row++)
      for (let col = 0; col < 3; col++) {
        const terms = [0, 1, 2, 3].map((k) => (x[row * 4 + k] as number) * (w[k * 3 + col] as number));
        expect(y?.data[row * 3 + col]).toBeCloseTo(
          terms.reduce((sum, term) => sum + term, 0.5),
          6,
        );
      }
  });

  it('makes any range of the bytes of a widened tensor', () => {
    const b = product();
    computeInFloat32(b.rewriter);
    const [w] = [...b.model().graph.initializers].filter(({ name }) => name === 'w') as [Value];
    const whole = w.initializer?.bytes() as Uint8Array;
    expect([...new Float32Array(new Uint8Array(whole).buffer)]).toEqual([...bfloat16ToFloat32(bits)]);
    for (const [start, end] of [
      [0, 4],
      [3, 9],
      [5, 6],
      [46, 48],
    ] as const)
      expect([...(w.initializer?.bytes(start, end) ?? [])]).toEqual([...whole.subarray(start, end)]);
  });

  it('leaves other models as they are', () => {
    const b = new GraphBuilder({ opset: 18 });
    b.output(b.op('Neg', [b.input('x', 'float16', [2])]), 'y', { dtype: 'float16', shape: [2] });
    computeInFloat32(b.rewriter);
    expect(b.rewriter.changes.filter(({ kind }) => kind === 'replace')).toEqual([]);
  });
});
