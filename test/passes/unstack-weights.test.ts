import { describe, expect, it } from '@jest/globals';
import { unstackWeights } from '../../passes/unstack-weights.js';
import { int } from '../../src/onnx/ir/attribute.js';
import { type Model, nodesOf, type Value } from '../../src/onnx/ir/graph.js';
import { float32s, int64s, tensorOf } from '../../src/onnx/ir/tensor.js';
import { GraphBuilder } from '../../src/onnx/rewrite/builder.js';
import { runPasses, step } from '../../src/onnx/rewrite/run-passes.js';
import { floats } from '../../src/runtime/runtime.js';
import { noise } from '../support/decoder.js';
import { expectSameNumbers } from '../support/numeric.js';

const [E, K, N] = [3, 4, 5];

/** x [2, K] times what `take` takes out of a stack [E, K, N]. */
function model(take: (b: GraphBuilder, stack: Value) => readonly Value[], opset = 18): Model {
  const b = new GraphBuilder({ opset });
  const x = b.input('x', 'float32', [2, K]);
  const stack = b.constant(float32s(noise(E * K * N, 1), [E, K, N]), 'stack');
  take(b, stack).forEach((weight, at) => {
    b.output(b.op('MatMul', [x, weight]), `y${at}`, { dtype: 'float32', shape: undefined });
  });
  return b.model();
}
const feeds = { x: floats(noise(2 * K, 9), [2, K]) };
const slice = (b: GraphBuilder, value: Value, from: number, to: number): Value =>
  b.op('Slice', [value, ...[[from], [to], [0]].map((each) => b.integers(each))]);
const squeeze = (b: GraphBuilder, value: Value): Value => b.op('Squeeze', [value, b.integers([0])]);

describe('unstack-weights', () => {
  it.each<[string, (b: GraphBuilder, stack: Value) => readonly Value[]]>([
    ['Gather', (b, stack) => [0, -1].map((at) => b.op('Gather', [stack, b.integer(at)], { axis: int(0) }))],
    ['Gather of a list of one', (b, stack) => [squeeze(b, b.op('Gather', [stack, b.constant(int64s([1]))]))]],
    ['Slice and Squeeze', (b, stack) => [squeeze(b, slice(b, stack, 1, 2)), squeeze(b, slice(b, stack, -1, 9))]],
    ['Slice and Reshape', (b, stack) => [b.op('Reshape', [slice(b, stack, 0, 1), b.integers([K, N])])]],
    ['Split', (b, stack) => b.ops('Split', [stack, b.integers([1, 1, 1])], E).map((part) => squeeze(b, part))],
    [
      'Split and Gather',
      (b, stack) => {
        const [pair, one] = b.ops('Split', [stack, b.integers([2, 1])], 2) as [Value, Value];
        return [b.op('Gather', [pair, b.integer(1)]), squeeze(b, one)];
      },
    ],
  ])('takes apart what %s reads', async (_, take) => {
    const ops = await expectSameNumbers(unstackWeights, model(take), feeds, 0);
    expect(new Set(ops)).toEqual(new Set(['MatMul']));
    const changed = model(take);
    runPasses(changed, [step(unstackWeights)]);
    const kept = [...changed.graph.initializers].map(({ initializer }) => initializer?.shape.length);
    expect(kept).not.toContain(3);
  });

  it('reads one matrix once however many take it', () => {
    const twice = model((b, stack) => [0, 0].map((at) => b.op('Gather', [stack, b.integer(at)])));
    runPasses(twice, [step(unstackWeights)]);
    const matrices = [...twice.graph.initializers].filter(({ initializer }) => initializer?.shape.length === 2);
    expect(matrices.map(({ uses }) => uses.size)).toEqual([2]);
  });

  it.each<[string, (b: GraphBuilder, stack: Value) => readonly Value[]]>([
    ['something reads it whole', (b, stack) => [stack, b.op('Gather', [stack, b.integer(0)])]],
    ['an index is fed', (b, stack) => [b.op('Gather', [stack, b.input('i', 'int64', [])])]],
    [
      'columns are taken',
      (b, stack) => [b.op('Gather', [stack, b.constant(int64s([0, 1, 2, 3, 4]))], { axis: int(2) })],
    ],
    [
      'two are taken at once, by eight bytes of int32',
      (b, stack) => [b.op('Gather', [stack, b.constant(tensorOf('int32', [2], Int32Array.of(0, 2)))])],
    ],
    ['an index is out of range', (b, stack) => [b.op('Gather', [stack, b.integer(E)])]],
    [
      'the part is an output',
      (b, stack) => {
        const part = b.op('Gather', [stack, b.integer(0)]);
        b.output(part, 'part', { dtype: 'float32', shape: undefined });
        return [part];
      },
    ],
  ])('leaves a stack whole when %s', (_, take) => {
    const kept = model(take);
    const before = [...nodesOf(kept.graph)].map(({ op }) => op);
    runPasses(kept, [step(unstackWeights)]);
    expect([...nodesOf(kept.graph)].map(({ op }) => op)).toEqual(before);
  });
});
