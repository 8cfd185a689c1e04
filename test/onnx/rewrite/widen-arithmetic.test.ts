/** bfloat16 models, computed in float32 where asked and measured so always; any model in float64. */
import { describe, expect, it } from '@jest/globals';
import { float, int, tensor } from '../../../src/onnx/ir/attribute.js';
import { DTYPES } from '../../../src/onnx/ir/dtype.js';
import type { Value } from '../../../src/onnx/ir/graph.js';
import { bfloat16ToFloat32, float32ToBfloat16 } from '../../../src/onnx/ir/half.js';
import { tensorOf } from '../../../src/onnx/ir/tensor.js';
import { GraphBuilder } from '../../../src/onnx/rewrite/builder.js';
import { computeInFloat32, computeInFloat64, computesIn } from '../../../src/onnx/rewrite/widen-arithmetic.js';
import { floats, integers } from '../../../src/runtime/runtime.js';
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

describe('computeInFloat64', () => {
  /** y = table[ids] · W + 0.5 + shape-made zeros, in float32. */
  function lookup(): GraphBuilder {
    const b = new GraphBuilder({ opset: 18 });
    const table = b.constant(tensorOf('float32', [5, 4], noise(20, 3)), 'table');
    const rows = b.op('Gather', [table, b.input('ids', 'int64', [2])]);
    const y = b.op('MatMul', [rows, b.constant(tensorOf('float32', [4, 3], noise(12, 4)), 'w')]);
    const zeros = b.op('ConstantOfShape', [b.op('Shape', [y])]);
    const half = b.op('Constant', [], { value_float: float(0.5) });
    b.output(b.op('Add', [b.op('Add', [y, zeros]), half]), 'y', { dtype: 'float32', shape: [2, 3] });
    return b;
  }

  it('gives float64 sums of the same numbers, and keeps a table that is only looked up', async () => {
    const b = lookup();
    computeInFloat64(b.rewriter);
    const { y } = await outputsOf(b.model(), { ids: integers([4, 1]) });
    const [table, w] = [noise(20, 3), noise(12, 4)];
    expect(y?.dtype).toBe('float64');
    for (const [at, row] of [4, 1].entries())
      for (let col = 0; col < 3; col++) {
        const terms = [0, 1, 2, 3].map((k) => (table[row * 4 + k] as number) * (w[k * 3 + col] as number));
        const sum = terms.reduce((total, term) => total + term, 0.5);
        expect(Math.abs((y?.data[at * 3 + col] as number) - sum)).toBeLessThan(1e-15);
      }
    const types = [...b.model().graph.initializers].map(({ name, initializer }) => `${name} ${initializer?.dtype}`);
    expect(types).toEqual(expect.arrayContaining(['table float32', 'w float64']));
  });
});
