/** Float tensors of codes against ONNX Runtime's own operators. */
import { describe, expect, it } from '@jest/globals';
import { dequantizeWeights } from '../../passes/dequantize-weights.js';
import { type Attribute, float, int, string } from '../../src/onnx/ir/attribute.js';
import { byteLengthOf, type DType, elementCount } from '../../src/onnx/ir/dtype.js';
import type { Value } from '../../src/onnx/ir/graph.js';
import { fromFloat32 } from '../../src/onnx/ir/half.js';
import { float32s, tensorOf } from '../../src/onnx/ir/tensor.js';
import { GraphBuilder } from '../../src/onnx/rewrite/builder.js';
import { runPasses, step } from '../../src/onnx/rewrite/run-passes.js';
import { floats, integers } from '../../src/runtime/runtime.js';
import { noise } from '../support/decoder.js';
import { expectSameNumbers } from '../support/numeric.js';

/** Any bytes, the same for the same seed. */
const bytes = (count: number, seed: number): Uint8Array =>
  Uint8Array.from(noise(count, seed), (value) => Math.floor((value + 0.5) * 256) & 255);
const codes = (b: GraphBuilder, dtype: DType, shape: readonly number[], seed: number): Value =>
  b.constant(tensorOf(dtype, shape, bytes(byteLengthOf(dtype, shape), seed)), 'codes');
const scales = (b: GraphBuilder, shape: readonly number[]): Value =>
  b.constant(
    float32s(
      noise(elementCount(shape), 9).map((value) => 0.05 + 0.04 * value),
      shape,
    ),
    'scales',
  );

const [K, N] = [48, 10];
const X = floats(noise(3 * K, 4), [3, K]);

type Weight = (b: GraphBuilder) => Value;
const linear =
  (dtype: DType, scaleShape: readonly number[], attributes: Record<string, Attribute>, zeros = true): Weight =>
  (b) => {
    const inputs = [codes(b, dtype, [K, N], 1), scales(b, scaleShape)];
    return b.op('DequantizeLinear', [...inputs, ...(zeros ? [codes(b, dtype, scaleShape, 2)] : [])], attributes);
  };

describe('DequantizeLinear', () => {
  it.each<[string, Weight]>([
    ['one scale', linear('uint8', [], {})],
    ['a scale per column', linear('int8', [N], { axis: int(1) })],
    ['a scale per row', linear('uint8', [K], { axis: int(0) })],
    ['a scale per row, counted from the end, without zeros', linear('int8', [K], { axis: int(-2) }, false)],
    ['blocks along the first axis, 4 bits', linear('uint4', [3, N], { axis: int(0), block_size: int(16) })],
    ['blocks along the first axis, signed', linear('int4', [3, N], { axis: int(0), block_size: int(16) })],
    ['blocks along the last axis', linear('uint8', [K, 2], { axis: int(1), block_size: int(5) })],
  ])('with %s', async (_, weight) => {
    const b = new GraphBuilder({ opset: 21 });
    b.output(b.op('MatMul', [b.input('x', 'float32', [3, K]), weight(b)]), 'y', { dtype: 'float32', shape: [3, N] });
    const ops = await expectSameNumbers(dequantizeWeights, b.model(), { x: X }, 1e-5);
    expect(ops).toEqual(['MatMul']);
  });
});

/** MatMulNBits over K inputs that are no multiple of the block. */
function product(bits: number, zeros: 'none' | 'packed' | 'float', bias = false): GraphBuilder {
  const b = new GraphBuilder({ opset: 21 });
  const [block, blocks] = [32, 2];
  const x = b.input('x', 'float32', [3, K]);
  const packed = codes(b, 'uint8', [N, blocks, (block * bits) / 8], 1);
  const zero = {
    none: () => undefined,
    packed: () => codes(b, 'uint8', [N * Math.ceil((blocks * bits) / 8)], 3),
    float: () => b.constant(float32s(noise(N * blocks, 3).map((value) => 8 + 4 * value)), 'zeros'),
  }[zeros]();
  const last = bias ? [undefined, b.constant(float32s(noise(N, 5)), 'bias')] : [];
  const inputs = [x, packed, scales(b, [N * blocks]), zero, ...last];
  const attributes = { K: int(K), N: int(N), bits: int(bits), block_size: int(block) };
  b.output(b.op('com.microsoft::MatMulNBits', inputs, attributes), 'y', { dtype: 'float32', shape: [3, N] });
  return b;
}

describe('MatMulNBits', () => {
  it.each<[string, () => GraphBuilder, readonly string[]]>([
    ['4 bits', () => product(4, 'none'), ['Transpose', 'MatMul']],
    ['4 bits with packed zeros', () => product(4, 'packed'), ['Transpose', 'MatMul']],
    ['4 bits with float zeros and a bias', () => product(4, 'float', true), ['Transpose', 'MatMul', 'Add']],
    ['8 bits with zeros', () => product(8, 'packed'), ['Transpose', 'MatMul']],
    ['2 bits', () => product(2, 'packed'), ['Transpose', 'MatMul']],
  ])('of %s', async (_, build, expected) => {
    const ops = await expectSameNumbers(dequantizeWeights, build().model(), { x: X }, 1e-5);
    expect(ops).toEqual(expected);
  });

  it('stays where codes are computed', () => {
    const b = new GraphBuilder({ opset: 21 });
    const x = b.input('x', 'float32', [3, K]);
    const packed = b.input('codes', 'uint8', [N, 2, 16]);
    const attributes = { K: int(K), N: int(N), bits: int(4), block_size: int(32) };
    b.output(b.op('com.microsoft::MatMulNBits', [x, packed, scales(b, [2 * N])], attributes), 'y');
    const model = b.model();
    const [report] = runPasses(model, [step(dequantizeWeights)]);
    expect(report?.changes).toEqual([]);
  });
});

it.each([
  ['uint8', 4, true],
  ['uint8', 8, false],
  ['int4', 4, false],
  ['uint4', 4, true],
] as const)('GatherBlockQuantized of %s with %d bits, zeros: %s', async (dtype, bits, zeros) => {
  const b = new GraphBuilder({ opset: 21 });
  const [rows, columns, block] = [7, 64, 16];
  const width = dtype === 'uint8' ? (columns * bits) / 8 : columns;
  const ids = b.input('ids', 'int64', [1, 5]);
  const zeroWidth = dtype === 'uint8' ? 2 : 4;
  const inputs = [codes(b, dtype, [rows, width], 1), ids, scales(b, [rows, columns / block])];
  const attributes = { gather_axis: int(0), quantize_axis: int(1), block_size: int(block), bits: int(bits) };
  const all = [...inputs, ...(zeros ? [codes(b, dtype, [rows, zeroWidth], 2)] : [])];
  b.output(b.op('com.microsoft::GatherBlockQuantized', all, attributes), 'y', {
    dtype: 'float32',
    shape: [1, 5, columns],
  });
  const ops = await expectSameNumbers(dequantizeWeights, b.model(), { ids: integers([0, 6, 3, 3, 1], [1, 5]) }, 1e-5);
  expect(ops).toEqual(['Gather']);
});

describe('QMoE', () => {
  const [rows, hidden, ffn, experts] = [5, 64, 128, 3];
  it.each([
    [4, 0, false],
    [8, 0, false],
    [4, 32, false],
    [4, 32, true],
    [4, 0, true],
  ])('of %d bits with blocks of %d, zeros: %s', async (bits, block, hasZeros) => {
    const b = new GraphBuilder({ opset: 21 });
    const x = b.input('x', 'float32', [rows, hidden]);
    const router = b.input('router', 'float32', [rows, experts]);
    const stack = (n: number, k: number, seed: number): readonly [Value, Value, Value | undefined] => {
      const blocks = block === 0 ? [] : [k / block];
      const perRow = block === 0 ? [] : [n];
      const zeroShape = [experts, ...perRow, Math.ceil(((block === 0 ? n : k / block) * bits) / 8)];
      return [
        codes(b, 'uint8', [experts, n, (k * bits) / 8], seed),
        scales(b, [experts, n, ...blocks]),
        hasZeros ? codes(b, 'uint8', zeroShape, seed + 1) : undefined,
      ];
    };
    const [first, second] = [stack(2 * ffn, hidden, 1), stack(hidden, ffn, 5)];
    const given = [x, router, first[0], first[1], undefined, second[0], second[1]];
    const zeros = hasZeros ? [undefined, undefined, undefined, undefined, first[2], second[2]] : [];
    const attributes = {
      ...{ k: int(2), activation_type: string('swiglu'), swiglu_fusion: int(1), activation_alpha: float(1) },
      ...{ activation_beta: float(0), expert_weight_bits: int(bits), normalize_routing_weights: int(1) },
      ...(block > 0 && { block_size: int(block) }),
    };
    b.output(b.op('com.microsoft::QMoE', [...given, ...zeros], attributes), 'y', {
      dtype: 'float32',
      shape: [rows, hidden],
    });
    const feeds = {
      x: floats(noise(rows * hidden, 7), [rows, hidden]),
      router: floats(noise(rows * experts, 8), [rows, experts]),
    };
    // Kernels for 8 bits have activations of 8 bits.
    const ops = await expectSameNumbers(dequantizeWeights, b.model(), feeds, bits === 8 ? 0.02 : 1e-4);
    expect(ops).toEqual(['MoE']);
  });
});

describe('stays', () => {
  const dequantized = (b: GraphBuilder, zeros: Value, attributes: Record<string, Attribute> = {}): Value =>
    b.op('DequantizeLinear', [codes(b, 'uint8', [K, N], 1), scales(b, [N]), zeros], attributes);
  const multiplied = (zeroCount: number, attributes: Record<string, Attribute>) => (b: GraphBuilder) => {
    const inputs = [b.input('x', 'float32', [3, K]), codes(b, 'uint8', [N, 2, 16], 1), scales(b, [2 * N])];
    const all = { K: int(K), N: int(N), bits: int(4), block_size: int(32), ...attributes };
    return b.op('com.microsoft::MatMulNBits', [...inputs, codes(b, 'uint8', [zeroCount], 3)], all);
  };
  it.each<[string, (b: GraphBuilder) => Value]>([
    ['a result of another type', (b) => dequantized(b, codes(b, 'uint8', [N], 2), { output_dtype: int(10) })],
    ['fewer zeros than scales', (b) => dequantized(b, codes(b, 'uint8', [N - 1], 2))],
    ['zeros of another type', (b) => dequantized(b, codes(b, 'int8', [N], 2))],
    ['packed zeros that are too few', multiplied(N - 1, {})],
    ['weights in the order of a kernel', multiplied(N, { weight_prepacked: int(1) })],
    ['more rows than there are codes', multiplied(N, { N: int(2 ** 40) })],
    ['no columns', multiplied(N, { K: int(0) })],
  ])('with %s', (_, build) => {
    const b = new GraphBuilder({ opset: 23 });
    b.output(b.op('Identity', [build(b)]), 'y');
    const [report] = runPasses(b.model(), [step(dequantizeWeights)]);
    expect(report?.changes).toEqual([]);
  });
});

it('gives one tensor to products of one weight, and two where their scales or axes differ', async () => {
  const b = new GraphBuilder({ opset: 21 });
  const x = b.input('x', 'float32', [3, K]);
  const stored = codes(b, 'int8', [K, K], 1);
  const [one, two] = [scales(b, [K]), b.constant(float32s(noise(K, 8)), 'other')];
  const product = (scale: Value, axis: number): Value =>
    b.op('MatMul', [x, b.op('DequantizeLinear', [stored, scale], { axis: int(axis) })]);
  const products = [product(one, 1), product(two, 1), product(one, 1), product(one, 0)];
  b.output(b.op('Concat', products, { axis: int(1) }), 'y', { dtype: 'float32', shape: [3, 4 * K] });
  const model = b.model();
  await expectSameNumbers(dequantizeWeights, model, { x: X }, 1e-5);
  runPasses(model, [step(dequantizeWeights)]);
  const names = [...model.graph.initializers].map(({ name }) => name).filter((name) => name.includes('float'));
  expect(names).toHaveLength(3);
});

it('has the type of float16 scales, and reads any range', () => {
  const b = new GraphBuilder({ opset: 21 });
  const half = b.constant(tensorOf('float16', [3, N], fromFloat32(noise(3 * N, 2), 'float16')), 'scales');
  const w = b.op('DequantizeLinear', [codes(b, 'int4', [K, N], 1), half], { axis: int(0), block_size: int(16) });
  b.output(b.op('MatMul', [b.input('x', 'float16', [3, K]), w]), 'y', { dtype: 'float16', shape: [3, N] });
  const model = b.model();
  runPasses(model, [step(dequantizeWeights)]);
  const [tensor] = [...model.graph.initializers].flatMap(({ initializer }) => initializer ?? []);
  expect(tensor).toMatchObject({ dtype: 'float16', shape: [K, N], byteLength: 2 * K * N });
  const whole = tensor?.bytes() as Uint8Array;
  for (const [from, to] of [
    [0, 2],
    [3, 41],
    [500, 960],
  ] as const)
    expect(tensor?.bytes(from, to)).toEqual(whole.slice(from, to));
});
