import { describe, expect, it } from '@jest/globals';
import type { ModelAnalysis } from '../../src/analysis/projection.js';
import { analyse } from '../../src/analysis/projections.js';
import { float, int, ints } from '../../src/onnx/ir/attribute.js';
import type { Value } from '../../src/onnx/ir/graph.js';
import * as mutate from '../../src/onnx/ir/mutate.js';
import { float32s, type Tensor, tensorOf } from '../../src/onnx/ir/tensor.js';
import { GraphBuilder } from '../../src/onnx/rewrite/builder.js';
import { ffn, ffnModel } from '../support/graphs.js';
import { activations, FFN, HIDDEN, type Linear, linears, matrix } from '../support/spellings.js';

/** `g already-quantized gate`: place, code and role of each refusal. */
const refused = ({ refusals }: ModelAnalysis): readonly string[] =>
  refusals.map(({ at, code, role }) => [at, code, role].filter((part) => part !== undefined).join(' '));

const taken = ({ projections }: ModelAnalysis): readonly string[] => projections.map(({ id }) => id);

/** A block whose gate is written in one form and the rest plainly. */
const gateOnly =
  (form: Linear): Linear =>
  (b, x, w, name) =>
    (name === 'g' ? form : linears.direct)(b, x, w, name);

const analyseGate = (form: Linear): ModelAnalysis => analyse(ffnModel({ linear: gateOnly(form) }));

const REST = ['layers.0.up', 'layers.0.down'];

describe('refusals', () => {
  it('name an overridable weight from IR 4 on, and not before', () => {
    const overridable: Linear = (b, x, w, name) => {
      const value = b.input(name, 'float32', w.shape);
      mutate.setInitializer(value, w);
      return b.op('MatMul', [x, value], {}, { name: `${name}_product` });
    };
    const modern = analyse(ffnModel({ linear: gateOnly(overridable), irVersion: 8 }));
    expect(refused(modern)).toEqual(['g_product weight-overridable gate']);
    expect(taken(modern)).toEqual(REST);
    expect(modern.refusals[0]).toMatchObject({ layer: 0, k: HIDDEN, n: FFN });
    const old = analyse(ffnModel({ linear: gateOnly(overridable), irVersion: 3 }));
    expect(refused(old)).toEqual([]);
    expect(taken(old)).toEqual(['layers.0.gate', ...REST]);
  });

  it.each([
    ['weight-rank', (b, _w) => b.constant(float32s(new Float32Array(HIDDEN * FFN), [1, HIDDEN, FFN]))],
    ['expert-weights', (b, _w) => b.constant(float32s(new Float32Array(2 * HIDDEN * FFN), [2, HIDDEN, FFN]))],
    ['weight-dtype', (b, w) => b.constant(tensorOf('float64', w.shape, new Float64Array(HIDDEN * FFN)))],
    ['weight-not-constant', (b, w) => b.op('Add', [b.constant(w), b.scalar(1)])],
    ['weight-not-constant', (b, w) => b.input('fed', 'float32', w.shape)],
    ['weight-rank', (b, w) => b.op('Reshape', [b.constant(matrix(FFN, HIDDEN, 1)), b.integers(w.shape)])],
    [
      'already-quantized',
      (b, w) =>
        b.op('DequantizeLinear', [b.constant(tensorOf('int8', w.shape, new Int8Array(HIDDEN * FFN))), b.scalar(0.1)]),
    ],
  ] as readonly (readonly [string, (b: GraphBuilder, w: Tensor) => Value])[])('give %s', (code, weight) => {
    const analysis = analyseGate((b, x, w, name) => b.op('MatMul', [x, weight(b, w)], {}, { name }));
    expect(refused(analysis)).toEqual([`g ${code} gate`]);
    expect(taken(analysis)).toEqual(REST);
  });

  it.each([
    ['transA', { transA: int(1) }],
    ['alpha', { alpha: float(0.5) }],
    ['beta', { beta: float(2) }],
  ])('name a Gemm with %s', (_, attributes) => {
    const analysis = analyseGate((b, x, w, name) => {
      const flat = b.op('Reshape', [x, b.integers([-1, HIDDEN])]);
      const bias = b.constant(float32s(new Float32Array(FFN)));
      const product = b.op('Gemm', [flat, b.constant(w), bias], attributes, { name });
      return b.op('Reshape', [product, b.integers([1, -1, FFN])]);
    });
    expect(refused(analysis)).toEqual(['g gemm-form gate']);
  });

  it('name a weight or a step on its way that is a graph output', () => {
    const analysis = analyseGate((b, x, _w, name) => {
      const flipped = b.op('Transpose', [b.constant(matrix(FFN, HIDDEN, 1))], { perm: ints([1, 0]) });
      b.output(flipped, 'flipped');
      return b.op('MatMul', [x, flipped], {}, { name });
    });
    expect(refused(analysis)).toEqual(['g graph-output gate']);
  });

  it('name a weight that something else reads', () => {
    const analysis = analyseGate((b, x, w, name) => {
      const weight = b.constant(w, name);
      b.output(b.op('ReduceSum', [b.op('Cast', [weight], { to: int(1) })], {}, { name: 'sum' }), 'total');
      return b.op('MatMul', [x, weight], {}, { name: 'g_product' });
    });
    expect(refused(analysis)).toEqual(['g_product weight-shared gate']);
    expect(analysis.refusals[0]?.reason).toContain('ReduceSum sum');
  });

  it('keep the roles of a block that is quantized already', () => {
    const packed: Linear = (b, x, w, name) => {
      const [k = 0, n = 0] = w.shape;
      const codes = b.constant(tensorOf('uint8', [n, 1, 16], new Uint8Array(n * 16)), name);
      const scales = b.constant(float32s(new Float32Array(n), [n, 1]));
      const attributes = { K: int(k), N: int(n), bits: int(4), block_size: int(32) };
      return b.op('com.microsoft::MatMulNBits', [x, codes, scales], attributes, { name: `${name}_Q4` });
    };
    const analysis = analyse(ffnModel({ linear: packed }));
    expect(taken(analysis)).toEqual([]);
    expect(refused(analysis)).toEqual(
      ['g_Q4', 'u_Q4', 'd_Q4'].map((at, index) => `${at} already-quantized ${['gate', 'up', 'down'][index]}`),
    );
    expect(analysis.refusals.map(({ k, n }) => [k, n])).toEqual([
      [HIDDEN, FFN],
      [HIDDEN, FFN],
      [FFN, HIDDEN],
    ]);
  });

  it('see through dynamic quantization', () => {
    const integer: Linear = (b, x, w, name) => {
      const [codes, scale, zero] = b.ops('DynamicQuantizeLinear', [x], 3) as [Value, Value, Value];
      const weight = b.constant(tensorOf('uint8', w.shape, new Uint8Array(HIDDEN * FFN)));
      const sum = b.op('MatMulInteger', [codes, weight, zero], {}, { name });
      return b.op('Mul', [b.op('Cast', [sum], { to: int(1) }), b.op('Mul', [scale, b.scalar(0.1)])]);
    };
    expect(refused(analyse(ffnModel({ linear: integer })))).toEqual(
      ['g', 'u', 'd'].map((at, index) => `${at} already-quantized ${['gate', 'up', 'down'][index]}`),
    );
  });

  it('leave a plain two-layer perceptron, a sum and a bottleneck alone', () => {
    const b = new GraphBuilder();
    const x = b.input('x', 'float32', [1, 's', HIDDEN]);
    const up = linears.direct(b, x, matrix(HIDDEN, FFN, 1), 'fc1');
    const plain = linears.direct(b, b.op('Relu', [up]), matrix(FFN, HIDDEN, 2), 'fc2');
    const left = linears.direct(b, x, matrix(HIDDEN, FFN, 3), 'left');
    const right = linears.direct(b, x, matrix(HIDDEN, FFN, 4), 'right');
    const sum = b.op('Add', [b.op('Sigmoid', [left]), right]);
    const out = linears.direct(b, sum, matrix(FFN, HIDDEN, 5), 'out');
    b.output(b.op('Softmax', [b.op('Add', [plain, out])]), 'y');
    const analysis = analyse(b.model());
    expect(taken(analysis)).toEqual([]);
    expect(refused(analysis)).toEqual(['fc1', 'fc2', 'left', 'right', 'out'].map((at) => `${at}_proj no-gated-ffn`));
    expect(analysis.layers).toBe(0);
    expect(analysis.activation).toBeUndefined();
  });

  it('set low-rank adapters aside and still find the block', () => {
    const adapted: Linear = (b, x, w, name) => {
      const [k = 0, n = 0] = w.shape;
      const narrow = linears.direct(b, x, matrix(k, 2, 8), `${name}_A`);
      const wide = linears.direct(b, narrow, matrix(2, n, 9), `${name}_B`);
      return b.op('Add', [linears.direct(b, x, w, name), b.op('Mul', [wide, b.scalar(2)])]);
    };
    const analysis = analyse(ffnModel({ linear: adapted }));
    expect(taken(analysis)).toEqual(['layers.0.gate', ...REST]);
    expect(refused(analysis)).toEqual(
      ['g_A', 'g_B', 'u_A', 'u_B', 'd_A', 'd_B'].map((at) => `${at}_proj no-gated-ffn`),
    );
  });
});

describe('between the Mul and down', () => {
  it.each([
    ['Cast', (b: GraphBuilder, x: Value) => b.op('Cast', [x], { to: int(1) })],
    ['Clip', (b: GraphBuilder, x: Value) => b.op('Clip', [x, b.scalar(-100), b.scalar(100)])],
    ['Reshape', (b: GraphBuilder, x: Value) => b.op('Reshape', [x, b.integers([1, -1, FFN])])],
  ])('%s may stand', (_, between) => {
    expect(taken(analyse(ffnModel({ between })))).toEqual(['layers.0.gate', ...REST]);
  });

  it('the other association of SiLU is found too', () => {
    const b = new GraphBuilder();
    const x = b.input('x', 'float32', [1, 's', HIDDEN]);
    const gate = linears.direct(b, x, matrix(HIDDEN, FFN, 1), 'g');
    const up = linears.direct(b, x, matrix(HIDDEN, FFN, 2), 'u');
    const product = b.op('Mul', [gate, b.op('Mul', [up, b.op('Sigmoid', [gate])])]);
    b.output(b.op('Add', [x, linears.direct(b, product, matrix(FFN, HIDDEN, 3), 'd')]), 'y');
    const analysis = analyse(b.model());
    expect(taken(analysis)).toEqual(['layers.0.gate', ...REST]);
    expect(analysis.projections[0]?.weight.source.name).toBe('g');
    expect(analysis.activation).toBe('silu');
  });

  it('a weight used twice by layers that repeat is one projection with two sites', () => {
    const b = new GraphBuilder();
    const x = b.input('x', 'float32', [1, 's', HIDDEN]);
    const weights = new Map<string, Value>();
    const repeated: Linear = (inner, input, w, name) => {
      const weight = weights.get(name) ?? inner.constant(w, name);
      weights.set(name, weight);
      return inner.op('MatMul', [input, weight]);
    };
    const first = b.op('Softmax', [b.op('Add', [x, ffn(b, x, { linear: repeated })])]);
    b.output(b.op('Add', [first, ffn(b, first, { linear: repeated })]), 'y');
    const analysis = analyse(b.model());
    expect(taken(analysis)).toEqual(['layers.0.gate', ...REST]);
    expect(analysis.projections.map(({ sites }) => sites.length)).toEqual([2, 2, 2]);
    expect(analysis.layers).toBe(1);
  });
});

describe('activations', () => {
  it('cover every name the report can give', () => {
    expect(new Set(Object.values(activations).map(([name]) => name)).size).toBe(6);
  });
});
