/** Tensors stored as float16: the same numbers up to one rounding, one Cast each, nothing left of it in a session. */
import { statSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from '@jest/globals';
import { InferenceSession } from 'onnxruntime-node';
import { float16Candidates, storeFloat16 } from '../../passes/store-float16.js';
import { exportModel, modelBytes } from '../../src/onnx/convert/export.js';
import { importModel } from '../../src/onnx/convert/import.js';
import { graph as graphAttribute, int } from '../../src/onnx/ir/attribute.js';
import { cloneModel } from '../../src/onnx/ir/clone.js';
import { type Model, nodesOf } from '../../src/onnx/ir/graph.js';
import { float16ToFloat32, float32ToFloat16 } from '../../src/onnx/ir/half.js';
import { float32s, lazyTensor, type Tensor } from '../../src/onnx/ir/tensor.js';
import { verify } from '../../src/onnx/ir/verify.js';
import { GraphBuilder } from '../../src/onnx/rewrite/builder.js';
import { Rewriter } from '../../src/onnx/rewrite/rewriter.js';
import { ortRuntime } from '../../src/runtime/ort.js';
import { type HostTensor, integers, type Outputs, withSession } from '../../src/runtime/runtime.js';
import { noise } from '../support/decoder.js';
import { temporaryFolder } from '../support/paths.js';

const HIDDEN = 32;
const VOCABULARY = 50;
const table = float32s(noise(VOCABULARY * HIDDEN, 1), [VOCABULARY, HIDDEN]);
const weight = float32s(noise(HIDDEN * HIDDEN, 2), [HIDDEN, HIDDEN]);
const scale = float32s(
  noise(HIDDEN, 3).map((value) => 1 + value),
  [HIDDEN],
);

/** Embedding, normalization, and a weight that both branches of an If read; `of` says what is stored of each tensor. */
function sample(of: (tensor: Tensor) => Tensor = (tensor) => tensor): Model {
  const b = new GraphBuilder({ opset: 18 });
  const ids = b.input('ids', 'int64', ['n']);
  const double = b.input('double', 'bool', []);
  const rows = b.op('Gather', [b.constant(of(table), 'table'), ids]);
  const mean = b.op('ReduceMean', [b.op('Mul', [rows, rows]), b.integers([-1])]);
  const normed = b.op('Mul', [b.op('Div', [rows, b.op('Sqrt', [mean])]), b.constant(of(scale), 'scale')]);
  const w = b.constant(of(weight), 'weight');
  const branch = (name: string, factor: number) =>
    b.branch(name, (inner) => {
      inner.output(inner.op('Mul', [inner.op('MatMul', [normed, w]), inner.scalar(factor)]), `${name}_y`, {
        dtype: 'float32',
        shape: ['n', HIDDEN],
      });
    });
  const attributes = { then_branch: graphAttribute(branch('then', 2)), else_branch: graphAttribute(branch('else', 1)) };
  b.output(b.op('If', [double], attributes), 'y', { dtype: 'float32', shape: ['n', HIDDEN] });
  return b.model();
}

const rounded = (tensor: Tensor): Tensor => {
  const values = new Float32Array(tensor.bytes().slice().buffer);
  return float32s(float16ToFloat32(float32ToFloat16(values)), tensor.shape);
};
const stored = (model: Model, threshold = 0): Model => {
  storeFloat16.run(new Rewriter(model), { threshold }, undefined);
  expect(verify(model)).toEqual([]);
  return model;
};
const run = (model: Model, double: boolean): Promise<Outputs> => {
  const flag: HostTensor = { dtype: 'bool', dims: [], data: Uint8Array.of(double ? 1 : 0) };
  return withSession(ortRuntime, modelBytes(model), { threads: 1 }, (session) =>
    session.run({ ids: integers([3, 0, 49, 7]), double: flag }),
  );
};
const casts = (model: Model): number => [...nodesOf(model.graph)].filter(({ op }) => op === 'Cast').length;

describe('storing as float16', () => {
  it.each([true, false])('computes what the rounded tensors compute (branch %s)', async (double) => {
    const model = stored(sample());
    expect(casts(model)).toBe(3);
    expect(await run(model, double)).toEqual(await run(sample(rounded), double));
  });

  it('leaves no Cast of a weight in a session, also where only branches read it; a table of rows stays float16', async () => {
    const folder = temporaryFolder();
    exportModel(stored(sample()), join(folder, 'model.onnx'));
    const optimizedModelFilePath = join(folder, 'optimized.onnx');
    const session = await InferenceSession.create(join(folder, 'model.onnx'), {
      optimizedModelFilePath,
      graphOptimizationLevel: 'basic',
      logSeverityLevel: 3,
    });
    await session.release();
    const optimized = importModel(optimizedModelFilePath);
    const left = [...nodesOf(optimized.graph)].filter(({ op }) => op === 'Cast');
    expect(left.map(({ inputs }) => inputs[0]?.producer?.op)).toEqual(['Gather']);
    expect([...optimized.graph.initializers].find(({ name }) => name === 'table')?.initializer?.dtype).toBe('float16');
  });

  it('keeps the names of inputs, outputs and initializers, and changes nothing the second time', () => {
    const model = sample();
    const names = () =>
      [model.graph.inputs, model.graph.outputs, [...model.graph.initializers]].map((values) =>
        values.map(({ name }) => name),
      );
    const before = names();
    stored(model);
    expect(names()).toEqual(before);
    const again = new Rewriter(model);
    storeFloat16.run(again, { threshold: 0 }, undefined);
    expect(again.changes).toEqual([]);
  });

  it('leaves tensors below the threshold', () => {
    const model = stored(sample(), scale.byteLength + 1);
    const types = [...model.graph.initializers].map(({ name, initializer }) => [name, initializer?.dtype]);
    expect(Object.fromEntries(types)).toMatchObject({ table: 'float16', weight: 'float16', scale: 'float32' });
  });

  it('writes tensors that share their bytes once', () => {
    const b = new GraphBuilder();
    const x = b.input('x', 'float32', ['n', HIDDEN]);
    const [first, second] = [b.constant(weight, 'first'), b.constant({ ...weight }, 'second')];
    b.output(b.op('MatMul', [b.op('MatMul', [x, first]), second]), 'y', { dtype: 'float32', shape: ['n', HIDDEN] });
    const path = join(temporaryFolder(), 'model.onnx');
    exportModel(stored(b.model()), path);
    expect(statSync(`${path}.data`).size).toBe(weight.byteLength / 2);
  });

  it('reads and writes a large tensor in ranges', () => {
    const shape = [40_000, 256];
    let longest = 0;
    const large = lazyTensor('float32', shape, (start, end) => {
      longest = Math.max(longest, end - start);
      return new Uint8Array(Float32Array.from({ length: (end - start) / 4 }, (_, at) => (start / 4 + at) % 97).buffer);
    });
    const b = new GraphBuilder();
    const rows = b.op('Gather', [b.constant(large, 'large'), b.input('ids', 'int64', ['n'])]);
    b.output(rows, 'rows', { dtype: 'float32', shape: ['n', 256] });
    const path = join(temporaryFolder(), 'model.onnx');
    exportModel(stored(b.model()), path);
    expect(longest).toBeLessThanOrEqual(8 << 20);
    expect(statSync(`${path}.data`).size).toBe(large.byteLength / 2);
    const written = importModel(path);
    const [value] = [...written.graph.initializers].filter(({ name }) => name === 'large');
    expect(
      float16ToFloat32(new Uint16Array(value?.initializer?.bytes(200_000, 200_006).slice().buffer as ArrayBuffer)),
    ).toEqual(Float32Array.of(100_000 % 97, 100_001 % 97, 100_002 % 97));
  });
});

describe('what cannot be stored as float16', () => {
  const withTensor = (values: Float32Array, shape: readonly number[] = [values.length]): Model => {
    const b = new GraphBuilder();
    const x = b.input('x', 'float32', ['n', 1]);
    b.output(b.op('Add', [x, b.constant(float32s(values, shape), 'w')]), 'y', {
      dtype: 'float32',
      shape: undefined as never,
    });
    return b.model();
  };
  const reasons = (model: Model): readonly string[] =>
    float16Candidates(model, 0).flatMap((match) => (match.ok ? [] : [`${match.at}: ${match.reason}`]));

  it.each([
    [Float32Array.of(1, 65505), 'w: 65505 is beyond the range of float16'],
    [Float32Array.of(1, Number.NaN), 'w: NaN is beyond the range of float16'],
    [Float32Array.of(1, Number.NEGATIVE_INFINITY), 'w: -Infinity is beyond the range of float16'],
    [Float32Array.of(1e-6, 3e-6, -2e-6), 'w: a row of norm 0.00000374 would lose digits'],
  ])('says why: %p', (values, reason) => {
    expect(reasons(withTensor(values))).toEqual([reason]);
  });

  it.each([
    ['the largest number', Float32Array.of(65504, -65504)],
    ['noise among numbers', Float32Array.of(1, 1e-7, 1e-30, 0.5)],
    ['subnormal numbers that float16 has', Float32Array.of(2 ** -24, 3 * 2 ** -20)],
    ['zeros', new Float32Array(4)],
  ])('but %s can', (_, values) => {
    expect(reasons(withTensor(values))).toEqual([]);
  });

  it('counts rows one by one', () => {
    const values = Float32Array.of(1, 1, 1e-7, 2e-7);
    expect(reasons(withTensor(values, [4]))).toEqual([]);
    expect(reasons(withTensor(values, [2, 2]))).toEqual(['w: a row of norm 2.24e-7 would lose digits']);
  });

  it('leaves what angles are made from, outputs, inputs, and tables of quantized operators', () => {
    const b = new GraphBuilder();
    const positions = b.input('positions', 'float32', ['n', 1]);
    const ones = float32s(new Float32Array(8).fill(1));
    const angles = b.op('Mul', [positions, b.constant(ones, 'frequencies')]);
    const turned = b.op('Mul', [b.op('Cos', [angles]), b.constant(ones, 'weights')]);
    b.output(turned, 'turned', { dtype: 'float32', shape: ['n', 8] });
    const codes = b.op('QuantizeLinear', [turned, b.constant(ones, 'scales')], { axis: int(1) });
    b.output(codes, 'codes', { dtype: 'uint8', shape: ['n', 8] });
    const given = b.constant(ones, 'given');
    b.rewriter.addOutput(b.graph, given, { dtype: 'float32', shape: [8] });
    expect(reasons(b.model())).toEqual([
      'frequencies: an angle is made from it',
      'scales: the quantized operator QuantizeLinear reads it',
      'given: it is an output',
    ]);
  });

  it('is left as it was by the pass', () => {
    const model = withTensor(Float32Array.of(1, 1e9));
    const copy = cloneModel(model).model;
    expect(modelBytes(stored(model))).toEqual(modelBytes(copy));
  });
});
