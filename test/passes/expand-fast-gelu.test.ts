import { describe, expect, it } from '@jest/globals';
import { expandFastGelu } from '../../passes/expand-fast-gelu.js';
import type { Model } from '../../src/onnx/ir/graph.js';
import { fromFloat32 } from '../../src/onnx/ir/half.js';
import { tensorOf } from '../../src/onnx/ir/tensor.js';
import { GraphBuilder } from '../../src/onnx/rewrite/builder.js';
import type { HostTensor } from '../../src/runtime/runtime.js';
import { noise } from '../support/decoder.js';
import { expectSameNumbers } from '../support/numeric.js';

const values = noise(64, 1).map((value) => value * 12);

function gelu(opset: number, dtype: 'float32' | 'float16', hasBias: boolean): Model {
  const b = new GraphBuilder({ opset });
  const x = b.input('x', dtype, ['n', 8]);
  const bias = b.constant(tensorOf(dtype, [8], fromFloat32(noise(8, 2), dtype)), 'bias');
  b.output(b.op('com.microsoft::FastGelu', hasBias ? [x, bias] : [x]), 'y', { dtype, shape: ['n', 8] });
  return b.model();
}

function feed(dtype: 'float32' | 'float16'): HostTensor {
  const bytes = fromFloat32(values, dtype);
  const data = dtype === 'float32' ? values : new Uint16Array(bytes.buffer, bytes.byteOffset, values.length);
  return { dtype, dims: [8, 8], data: data as Float32Array };
}

describe('expand-fast-gelu', () => {
  it.each([
    [18, true],
    [18, false],
    [20, true],
    [20, false],
  ])('computes the same at operator set %d, bias %s, within 1e-6', async (opset, hasBias) => {
    const ops = await expectSameNumbers(expandFastGelu, gelu(opset, 'float32', hasBias), { x: feed('float32') }, 1e-6);
    expect(ops.at(-1)).toBe(opset >= 20 ? 'Gelu' : 'Mul');
    expect(ops).not.toContain('FastGelu');
  });

  it('keeps half precision, within four of its roundings', async () => {
    const ops = await expectSameNumbers(expandFastGelu, gelu(18, 'float16', true), { x: feed('float16') }, 2 ** -9);
    expect(ops).not.toContain('Cast');
  });
});
