/** Activations in float16: which nodes change, which stay float32 and why, and what comes out. */
import { describe, expect, it } from '@jest/globals';
import { computeFloat16 } from '../../passes/compute-float16.js';
import { elementTypeOf } from '../../src/analysis/element-types.js';
import { roundHalves } from '../../src/evaluate/rounded-copy.js';
import { graph as graphAttribute } from '../../src/onnx/ir/attribute.js';
import { cloneModel } from '../../src/onnx/ir/clone.js';
import { type Model, nodesOf } from '../../src/onnx/ir/graph.js';
import { float32s } from '../../src/onnx/ir/tensor.js';
import { GraphBuilder } from '../../src/onnx/rewrite/builder.js';
import { Rewriter } from '../../src/onnx/rewrite/rewriter.js';
import { runPasses, step } from '../../src/onnx/rewrite/run-passes.js';
import { floats, type HostTensor, numbersOf } from '../../src/runtime/runtime.js';
import { noise } from '../support/decoder.js';
import { distance, outputsOf } from '../support/numeric.js';

const [ROWS, WIDTH] = [4, 32];
const TYPE = { dtype: 'float32', shape: [ROWS, WIDTH] } as const;
const weights = (seed: number, factor = 1) =>
  float32s(
    noise(WIDTH * WIDTH, seed).map((value) => factor * value),
    [WIDTH, WIDTH],
  );
const X = floats(noise(ROWS * WIDTH, 9), [ROWS, WIDTH]);

/** A residual stream with a normalized product, a mask under a Softmax, and a rotation. `factor` makes the stream large. */
function block(factor = 1): Model {
  const b = new GraphBuilder({ opset: 18 });
  const x = b.input('x', 'float32', [ROWS, WIDTH]);
  const stream = b.op('MatMul', [x, b.constant(weights(1, factor), 'w1')], {}, { name: 'stream' });
  const mean = b.op('ReduceMean', [b.op('Pow', [stream, b.scalar(2)]), b.integers([-1])]);
  const root = b.op('Sqrt', [b.op('Add', [mean, b.scalar(1e-6)])]);
  const normed = b.op('Mul', [b.op('Div', [stream, root]), b.constant(float32s(noise(WIDTH, 3)), 'scale')]);
  const product = b.op('MatMul', [normed, b.constant(weights(2), 'w2')], {}, { name: 'product' });
  const masked = b.op('Add', [product, b.constant(float32s(new Float32Array(WIDTH).fill(-3e38)), 'mask')]);
  const chosen = b.op('Where', [b.op('Less', [product, b.scalar(0)]), masked, product]);
  const probabilities = b.op('Softmax', [chosen]);
  const angle = b.op('Cos', [b.op('Mul', [x, b.scalar(2000)])]);
  const rotated = b.op('Mul', [probabilities, angle], {}, { name: 'rotated' });
  b.output(b.op('Add', [stream, rotated], {}, { name: 'sum' }), 'y', TYPE);
  return b.model();
}

const inFloat16 = (model: Model, wide: readonly string[]): Model => {
  const copy = cloneModel(model).model;
  runPasses(copy, [step(computeFloat16, {}, new Set(wide))]);
  return copy;
};

/** Element types of what the operators of a graph make, without casts. */
const typesOf = (model: Model): readonly string[] =>
  [...nodesOf(model.graph)]
    .filter(({ op }) => op !== 'Cast' && op !== 'Constant')
    .map(({ op, outputs: [made] }) => `${op} ${made && elementTypeOf(made)}`);

describe('compute-float16', () => {
  it('leaves norms, angles, masks and the interface in float32, and changes the rest', async () => {
    const model = block();
    const half = inFloat16(model, namesOf(model, 'Where'));
    expect(typesOf(half)).toEqual([
      'MatMul float16',
      'Pow float32',
      'ReduceMean float32',
      'Add float32',
      'Sqrt float32',
      'Div float32',
      'Mul float32',
      'MatMul float16',
      'Add float32',
      'Less bool',
      'Where float32',
      'Softmax float32',
      'Mul float32',
      'Cos float32',
      'Mul float16',
      'Add float16',
    ]);
    roundHalves(new Rewriter(half));
    const [expected, actual] = [await outputsOf(model, { x: X }), await outputsOf(half, { x: X })];
    expect(actual['y']?.dtype).toBe('float32');
    const off = distance(expected['y'] as HostTensor, actual['y'] as HostTensor);
    expect(off).toBeLessThan(2e-3);
    expect(off).toBeGreaterThan(0);
  });

  it('keeps a stream that leaves the range of float16 in float32, with all that reads it', async () => {
    const model = block(1e5);
    const half = inFloat16(model, [...namesOf(model, 'stream'), ...namesOf(model, 'Where'), 'y']);
    expect(typesOf(half).filter((type) => /float16/.test(type))).toEqual(['MatMul float16', 'Mul float16']);
    const [expected, actual] = [await outputsOf(model, { x: X }), await outputsOf(half, { x: X })];
    expect(distance(expected['y'] as HostTensor, actual['y'] as HostTensor)).toBeLessThan(1e-6);
  });

  it('would be infinite there otherwise, which rounding each value shows', async () => {
    const half = inFloat16(block(1e6), []);
    roundHalves(new Rewriter(half));
    const { y } = await outputsOf(half, { x: X });
    expect(numbersOf(y as HostTensor).every(Number.isFinite)).toBe(false);
  });

  it('casts each value once, and constants when the session is made', () => {
    const casts = [...nodesOf(inFloat16(block(), []).graph)].filter(({ op }) => op === 'Cast');
    const sources = casts.map(({ inputs: [value] }) => value?.name);
    expect(new Set(sources).size).toBe(sources.length);
    expect(sources).toEqual(expect.arrayContaining(['w1', 'w2']));
    // The scale of the norm is read in float32.
    expect(sources).not.toContain('scale');
  });

  it('refuses a graph with branches', () => {
    const b = new GraphBuilder({ opset: 18 });
    const [x, flag] = [b.input('x', 'float32', [1]), b.input('flag', 'bool', [])];
    const branch = (name: string) =>
      b.branch(name, (inner) => inner.output(inner.op('Neg', [x]), `${name}_y`, { dtype: 'float32', shape: [1] }));
    const attributes = { then_branch: graphAttribute(branch('a')), else_branch: graphAttribute(branch('b')) };
    b.output(b.op('If', [flag], attributes), 'y', { dtype: 'float32', shape: [1] });
    const model = b.model();
    expect(() => inFloat16(model, [])).toThrow(expect.objectContaining({ code: 'unsupported-target' }));
  });
});

/** Names of the values that nodes with this beginning make. */
const namesOf = ({ graph }: Model, start: string): readonly string[] =>
  [...nodesOf(graph)].flatMap(({ outputs }) =>
    outputs.flatMap((value) => (value?.name.startsWith(start) ? [value.name] : [])),
  );
