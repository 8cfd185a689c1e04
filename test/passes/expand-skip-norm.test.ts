import { describe, expect, it } from '@jest/globals';
import { expandSkipNorm } from '../../passes/expand-skip-norm.js';
import { float } from '../../src/onnx/ir/attribute.js';
import { cloneModel } from '../../src/onnx/ir/clone.js';
import type { Model, Value } from '../../src/onnx/ir/graph.js';
import { float32s } from '../../src/onnx/ir/tensor.js';
import { GraphBuilder } from '../../src/onnx/rewrite/builder.js';
import { runPasses, step } from '../../src/onnx/rewrite/run-passes.js';
import { floats } from '../../src/runtime/runtime.js';
import { noise } from '../support/decoder.js';
import { expectSameNumbers, outputsOf } from '../support/numeric.js';

const WIDTH = 24;
const type = { dtype: 'float32', shape: ['batch', 'length', WIDTH] } as const;
const [left, right] = [noise(6 * WIDTH, 1), noise(6 * WIDTH, 2)];
const feeds = { x: floats(left, [2, 3, WIDTH]), skip: floats(right, [2, 3, WIDTH]) };
const scale = (seed: number) => float32s(noise(WIDTH, seed).map((value) => 1 + value));

/** Two normalizations, the second of the residual that the first gives out; `read` adds outputs of the first. */
function residuals(read: (outputs: readonly (Value | undefined)[], b: GraphBuilder) => void): Model {
  const b = new GraphBuilder();
  const [x, skip] = [b.input('x', 'float32', type.shape), b.input('skip', 'float32', type.shape)];
  const name = 'com.microsoft::SkipSimplifiedLayerNormalization';
  const four = { types: [undefined, undefined, undefined, undefined] };
  const first = b.node(name, [x, skip, b.constant(scale(3), 'first')], { epsilon: float(1e-3) }, four).outputs;
  const bias = b.constant(float32s(noise(WIDTH, 5)), 'bias');
  b.output(b.op(name, [first[3], first[0], b.constant(scale(4), 'second'), bias]), 'y', type);
  read(first, b);
  return b.model();
}

describe('expand-skip-norm', () => {
  it('computes the same normalizations and sums, within 1e-6', async () => {
    const model = residuals(([, , , sum], b) => b.output(sum as Value, 'sum', type));
    const ops = await expectSameNumbers(expandSkipNorm, model, feeds, 1e-6);
    expect([...ops].sort()).toEqual([
      ...['Add', 'Add', 'Add', 'SimplifiedLayerNormalization', 'SimplifiedLayerNormalization'],
    ]);
  });

  it('gives the reciprocal deviation out where it is read', async () => {
    const shape = ['batch', 'length', 1] as const;
    const model = residuals(([, , deviation], b) => b.output(deviation as Value, 'r', { dtype: 'float32', shape }));
    const after = cloneModel(model).model;
    runPasses(after, [step(expandSkipNorm)]);
    const { r } = await outputsOf(after, feeds);
    const sums = left.map((value, at) => value + (right[at] as number));
    const rows = Array.from({ length: 6 }, (_, row) => sums.subarray(row * WIDTH, (row + 1) * WIDTH));
    const powers = rows.map((row) => row.reduce((sum, value) => sum + value * value, 0) / WIDTH);
    powers.forEach((power, row) => expect(r?.data[row]).toBeCloseTo(1 / Math.sqrt(power + 1e-3), 5));
  });
});
