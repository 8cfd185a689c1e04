/** The same computation in every spelling that exporters use: products with a weight, activations, attention. */
import { float, int, ints, string, tensor } from '../../src/onnx/ir/attribute.js';
import type { Value } from '../../src/onnx/ir/graph.js';
import { float32s, type Tensor, tensorOf } from '../../src/onnx/ir/tensor.js';
import type { GraphBuilder } from '../../src/onnx/rewrite/builder.js';
import { noise } from './decoder.js';

/** Width of the residual stream, of the feed-forward block, and number of tokens. */
export const HIDDEN = 8;
export const FFN = 12;
export const VOCABULARY = 40;

/** A matrix of small numbers, the same for the same seed. */
export const matrix = (rows: number, columns: number, seed: number): Tensor =>
  float32s(noise(rows * columns, seed), [rows, columns]);

export const transposed = (of: Tensor): Tensor => {
  const [rows = 0, columns = 0] = of.shape;
  const from = new Float32Array(of.bytes().slice().buffer);
  const to = Float32Array.from(from, (_, at) => from[(at % rows) * columns + Math.floor(at / rows)] ?? 0);
  return float32s(to, [columns, rows]);
};

const halves = (of: Tensor): Tensor => tensorOf('float16', of.shape, new Uint16Array(of.shape.reduce((a, b) => a * b)));

/** Multiplies x by a weight [K, N] in one of the forms that exporters write. */
export type Linear = (b: GraphBuilder, x: Value, w: Tensor, name: string) => Value;

const perm = { perm: ints([1, 0]) };
const reshaped =
  (attributes: Record<string, ReturnType<typeof int>>, wOf: (w: Tensor) => Tensor): Linear =>
  (b, x, w, name) => {
    const flat = b.op('Reshape', [x, b.integers([-1, w.shape[0] ?? 0])]);
    const product = b.op('Gemm', [flat, b.constant(wOf(w), name)], attributes, { name: `${name}_proj` });
    return b.op('Reshape', [product, b.integers([1, -1, w.shape[1] ?? 0])]);
  };

export type LinearName =
  | 'direct'
  | 'transpose'
  | 'transpose without perm'
  | 'transposed twice'
  | 'constant node'
  | 'cast'
  | 'identity and cast of a transpose'
  | 'same-shape reshape'
  | 'gemm between reshapes'
  | 'gemm with transB'
  | 'gemm with transB of a transpose'
  | 'fused, transB and alpha'
  | 'with a bias'
  | 'einsum'
  | 'einsum of a transpose, weight first';

export const linears: Readonly<Record<LinearName, Linear>> = {
  direct: (b, x, w, name) => b.op('MatMul', [x, b.constant(w, name)], {}, { name: `${name}_proj` }),
  transpose: (b, x, w, name) =>
    b.op('MatMul', [x, b.op('Transpose', [b.constant(transposed(w), name)], perm)], {}, { name: `${name}_proj` }),
  'transpose without perm': (b, x, w, name) =>
    b.op('MatMul', [x, b.op('Transpose', [b.constant(transposed(w), name)])], {}, { name: `${name}_proj` }),
  'transposed twice': (b, x, w, name) =>
    b.op(
      'MatMul',
      [x, b.op('Transpose', [b.op('Transpose', [b.constant(w, name)])], perm)],
      {},
      { name: `${name}_proj` },
    ),
  'constant node': (b, x, w, name) =>
    b.op('MatMul', [x, b.op('Constant', [], { value: tensor(w) })], {}, { name: `${name}_proj` }),
  cast: (b, x, w, name) =>
    b.op('MatMul', [x, b.op('Cast', [b.constant(halves(w), name)], { to: int(1) })], {}, { name: `${name}_proj` }),
  'identity and cast of a transpose': (b, x, w, name) => {
    const flipped = b.op('Transpose', [b.constant(halves(transposed(w)), name)], perm);
    return b.op(
      'MatMul',
      [x, b.op('Identity', [b.op('Cast', [flipped], { to: int(1) })])],
      {},
      { name: `${name}_proj` },
    );
  },
  'same-shape reshape': (b, x, w, name) =>
    b.op('MatMul', [x, b.op('Reshape', [b.constant(w, name), b.integers(w.shape)])], {}, { name: `${name}_proj` }),
  'gemm between reshapes': reshaped({}, (w) => w),
  'gemm with transB': reshaped({ transB: int(1) }, transposed),
  'gemm with transB of a transpose': (b, x, w, name) => {
    const flat = b.op('Reshape', [x, b.integers([-1, w.shape[0] ?? 0])]);
    return b.op('Gemm', [flat, b.op('Transpose', [b.constant(w, name)])], { transB: int(1) }, { name: `${name}_proj` });
  },
  'fused, transB and alpha': (b, x, w, name) =>
    b.op(
      'com.microsoft::FusedMatMul',
      [x, b.constant(transposed(w), name)],
      { transB: int(1), alpha: float(0.5) },
      { name },
    ),
  einsum: (b, x, w, name) =>
    b.op('Einsum', [x, b.constant(w, name)], { equation: string('bsk,kn->bsn') }, { name: `${name}_proj` }),
  'einsum of a transpose, weight first': (b, x, w, name) => {
    const equation = string('nk, ...k -> ...n');
    return b.op('Einsum', [b.constant(transposed(w), name), x], { equation }, { name: `${name}_proj` });
  },
  'with a bias': (b, x, w, name) => {
    const product = b.op('MatMul', [x, b.constant(w, name)], {}, { name: `${name}_proj` });
    return b.op('Add', [product, b.constant(float32s(noise(w.shape[1] ?? 0, 7)), `${name}.bias`)]);
  },
};

export type Unary = (b: GraphBuilder, x: Value) => Value;

const geluTanh = (b: GraphBuilder, x: Value, cube: Value, halfFirst: boolean): Value => {
  const inner = b.op('Add', [x, b.op('Mul', [cube, b.scalar(0.044715)])]);
  const bracket = b.op('Add', [b.op('Tanh', [b.op('Mul', [inner, b.scalar(0.7978845608)])]), b.scalar(1)]);
  if (halfFirst) return b.op('Mul', [x, b.op('Mul', [bracket, b.scalar(0.5)])]);
  return b.op('Mul', [b.op('Mul', [x, bracket]), b.scalar(0.5)]);
};

/** Activations as each exporter writes them, with the name the finder gives. */
export type ActivationName =
  | 'sigmoid and mul'
  | 'mul with sigmoid first'
  | 'swish'
  | 'quick gelu'
  | 'quick gelu of 1.702'
  | 'gelu tanh'
  | 'gelu erf'
  | 'fast gelu'
  | 'two muls, half last'
  | 'pow, half on the bracket'
  | 'sparsity before gelu'
  | 'cast around'
  | 'relu'
  | 'sigmoid';

export const activations: Readonly<Record<ActivationName, readonly [string, Unary]>> = {
  'sigmoid and mul': ['silu', (b, x) => b.op('Mul', [x, b.op('Sigmoid', [x])])],
  'mul with sigmoid first': ['silu', (b, x) => b.op('Mul', [b.op('Sigmoid', [x]), x])],
  swish: ['silu', (b, x) => b.op('Swish', [x])],
  'quick gelu': ['silu', (b, x) => b.op('com.microsoft::QuickGelu', [x], { alpha: float(1) })],
  'quick gelu of 1.702': ['gelu-sigmoid', (b, x) => b.op('com.microsoft::QuickGelu', [x], { alpha: float(1.702) })],
  'gelu tanh': ['gelu-tanh', (b, x) => b.op('Gelu', [x], { approximate: string('tanh') })],
  'gelu erf': ['gelu', (b, x) => b.op('Gelu', [x])],
  'fast gelu': ['gelu-tanh', (b, x) => b.op('com.microsoft::FastGelu', [x])],
  'two muls, half last': ['gelu-tanh', (b, x) => geluTanh(b, x, b.op('Mul', [x, b.op('Mul', [x, x])]), false)],
  'pow, half on the bracket': ['gelu-tanh', (b, x) => geluTanh(b, x, b.op('Pow', [x, b.scalar(3)]), true)],
  'sparsity before gelu': ['gelu-tanh', sparseGelu],
  'cast around': [
    'silu',
    (b, x) => {
      const wide = b.op('Cast', [x], { to: int(1) });
      return b.op('Cast', [b.op('Mul', [wide, b.op('Sigmoid', [wide])])], { to: int(1) });
    },
  ],
  relu: ['relu', (b, x) => b.op('Relu', [x])],
  sigmoid: ['sigmoid', (b, x) => b.op('Sigmoid', [x])],
};

/** Gemma 3n: relu(x - (mean + f * std)) before the activation; the deviation counts elements with Shape. */
function sparseGelu(b: GraphBuilder, x: Value): Value {
  const axes = b.integers([-1]);
  const mean = b.op('ReduceMean', [x, axes], { keepdims: int(1) });
  const deviation = b.op('Sub', [x, mean]);
  const total = b.op('ReduceSum', [b.op('Mul', [deviation, deviation]), axes], { keepdims: int(1) });
  const count = b.op('Gather', [b.op('Shape', [x]), b.integer(2)]);
  const variance = b.op('Div', [total, b.op('Cast', [count], { to: int(1) })]);
  const cutoff = b.op('Add', [mean, b.op('Mul', [b.op('Sqrt', [variance]), b.scalar(1.64)])]);
  return b.op('Gelu', [b.op('Relu', [b.op('Sub', [x, cutoff])])], { approximate: string('tanh') });
}

/** softmax(q . k) . v with its four projections, written out; `core` replaces the middle by a fused operator. */
export type Attention = (b: GraphBuilder, x: Value, layer: number) => Value;

const HEADS = 2;
const HEAD_DIM = HIDDEN / HEADS;

function heads(b: GraphBuilder, x: Value): Value {
  return b.op('Transpose', [b.op('Reshape', [x, b.integers([0, 0, HEADS, HEAD_DIM])])], { perm: ints([0, 2, 1, 3]) });
}

/** Rotate-half rotary embedding over a constant table. */
function rotary(b: GraphBuilder, x: Value): Value {
  const [left, right] = b.ops('Split', [x], 2, { axis: int(3), num_outputs: int(2) }) as [Value, Value];
  const rotated = b.op('Concat', [b.op('Neg', [right]), left], { axis: int(3) });
  return b.op('Add', [b.op('Mul', [x, b.scalar(0.8)]), b.op('Mul', [rotated, b.scalar(0.6)])]);
}

/** RMS norm over the last axis, as TorchScript writes it. */
export function norm(b: GraphBuilder, x: Value, weight: Tensor): Value {
  const mean = b.op('ReduceMean', [b.op('Pow', [x, b.scalar(2)]), b.integers([-1])], { keepdims: int(1) });
  const root = b.op('Sqrt', [b.op('Add', [mean, b.scalar(1e-6)])]);
  const scaled = b.op('Mul', [x, b.op('Div', [b.scalar(1), root])]);
  return b.op('Mul', [b.constant(weight, 'norm'), scaled]);
}

const project = (b: GraphBuilder, x: Value, role: string, layer: number): Value =>
  linears.direct(b, x, matrix(HIDDEN, HIDDEN, 10 * layer + role.charCodeAt(0)), `${role}${layer}`);

export type AttentionName =
  | 'decomposed'
  | 'multi-head operator'
  | 'standard operator'
  | 'grouped, packed'
  | 'packed and split';

export const attentions: Readonly<Record<AttentionName, Attention>> = {
  decomposed: (b, x, layer) => {
    const [q, k, v] = ['q', 'k', 'v'].map((role) => heads(b, project(b, x, role, layer))) as [Value, Value, Value];
    const unit = float32s(Float32Array.of(1, 1, 1, 1));
    const keys = b.op('Transpose', [rotary(b, norm(b, k, unit))], { perm: ints([0, 1, 3, 2]) });
    const scores = b.op('Mul', [b.op('MatMul', [rotary(b, norm(b, q, unit)), keys]), b.scalar(0.5)]);
    const capped = b.op('Mul', [b.op('Tanh', [b.op('Div', [scores, b.scalar(50)])]), b.scalar(50)]);
    const weights = b.op('Softmax', [b.op('Add', [capped, b.scalar(0)])], { axis: int(-1) });
    const kept = b.op('Where', [b.op('IsNaN', [weights]), b.scalar(0), weights]);
    const context = b.op('Transpose', [b.op('MatMul', [kept, v])], { perm: ints([0, 2, 1, 3]) });
    return project(b, b.op('Reshape', [context, b.integers([0, 0, HIDDEN])]), 'o', layer);
  },
  'multi-head operator': (b, x, layer) => {
    const [q, k, v] = ['q', 'k', 'v'].map((role) => project(b, x, role, layer)) as [Value, Value, Value];
    return project(b, b.op('com.microsoft::MultiHeadAttention', [q, k, v], { num_heads: int(HEADS) }), 'o', layer);
  },
  'standard operator': (b, x, layer) => {
    const [q, k, v] = ['q', 'k', 'v'].map((role) => heads(b, project(b, x, role, layer))) as [Value, Value, Value];
    const context = b.op('Transpose', [b.op('Attention', [q, k, v])], { perm: ints([0, 2, 1, 3]) });
    return project(b, b.op('Reshape', [context, b.integers([0, 0, HIDDEN])]), 'o', layer);
  },
  'grouped, packed': (b, x, layer) => {
    const packed = linears.direct(b, x, matrix(HIDDEN, 2 * HIDDEN, layer), `qkv${layer}`);
    const attributes = { num_heads: int(HEADS), kv_num_heads: int(1) };
    return project(
      b,
      b.op('com.microsoft::GroupQueryAttention', [packed, undefined, undefined], attributes),
      'o',
      layer,
    );
  },
  'packed and split': (b, x, layer) => {
    const packed = linears.direct(b, x, matrix(HIDDEN, 3 * HIDDEN, layer), `qkv${layer}`);
    const [q, k, v] = b.ops('Split', [packed], 3, { axis: int(-1), num_outputs: int(3) }) as [Value, Value, Value];
    return project(b, b.op('com.microsoft::MultiHeadAttention', [q, k, v], { num_heads: int(HEADS) }), 'o', layer);
  },
};
