/** Operators of a decoder in the forms of an exporter: products with weights, norms, activations. */
import { float, int, ints, string } from '../../src/onnx/ir/attribute.js';
import type { Value } from '../../src/onnx/ir/graph.js';
import { float32s, type Tensor } from '../../src/onnx/ir/tensor.js';
import type { GraphBuilder } from '../../src/onnx/rewrite/builder.js';
import { noise } from '../../test/support/decoder.js';
import { transposed } from '../../test/support/spellings.js';
import { toyWeight } from '../../test/support/toy.js';
import { type Architecture, EPSILON, type Exporter } from './spec.js';

/** A residual stream that may have a part not added yet, as graphs with skip norms carry it. */
export interface Stream {
  readonly residual: Value;
  readonly added?: Value;
}

/** Builds the parts of one decoder. Weights of one name are made once, so that branches share them. */
export class Parts {
  readonly b: GraphBuilder;
  readonly spec: Architecture;
  readonly form: Exporter;
  readonly #outer: GraphBuilder;
  readonly #weights: Map<string, Value>;

  constructor(b: GraphBuilder, spec: Architecture, form: Exporter, outer?: Parts) {
    this.b = b;
    this.spec = spec;
    this.form = form;
    this.#outer = outer?.b ?? b;
    this.#weights = outer === undefined ? new Map() : outer.#weights;
  }

  /** The parts of a branch of the same decoder. */
  inside(b: GraphBuilder): Parts {
    return new Parts(b, this.spec, this.form, this);
  }

  /** A constant, made once. */
  constant(name: string, make: () => Tensor): Value {
    const found = this.#weights.get(name) ?? this.#outer.constant(make(), name);
    this.#weights.set(name, found);
    return found;
  }

  /** X [..., K] times a weight [K, N], in the form of the exporter. */
  linear(x: Value, name: string, k: number, n: number, bias = false): Value {
    const product = this.#product(x, name, toyWeight(k, n, seedOf(name)));
    if (!bias) return product;
    const vector = this.constant(`${name}.bias`, () => float32s(noise(n, seedOf(name) + 1)));
    return this.b.op('Add', [product, vector], {}, { name: `/${name}/Add` });
  }

  #product(x: Value, name: string, weight: Tensor): Value {
    const { b, form } = this;
    const named = (op: string) => ({ name: `/${name}/${op}` });
    const direct = (): Value => this.constant(`${name}.weight`, () => weight);
    const flipped = (): Value => this.constant(`${name}.weight`, () => transposed(weight));
    switch (form.linear ?? 'MatMul') {
      case 'Transpose and MatMul':
        return b.op('MatMul', [x, b.op('Transpose', [flipped()], { perm: ints([1, 0]) })], {}, named('MatMul'));
      case 'Gemm':
        return this.gemm(x, flipped, name, weight.shape as [number, number]);
      case 'FusedMatMul':
        return b.op('com.microsoft::FusedMatMul', [x, flipped()], { transB: int(1) }, named('FusedMatMul'));
      case 'Einsum':
        return b.op('Einsum', [x, direct()], { equation: string('bsk,kn->bsn') }, named('Einsum'));
      case 'constant nodes': {
        const constant = b.op('Constant', [], { value: { kind: 'tensor', value: weight } }, named('Constant'));
        return b.op('MatMul', [x, constant], {}, named('MatMul'));
      }
      default:
        return b.op('MatMul', [x, direct()], {}, named('MatMul'));
    }
  }

  /** X [batch, tokens, K] times a weight stored as [N, K], on rows of all texts. */
  gemm(x: Value, weight: () => Value, name: string, [k, n]: readonly [k: number, n: number]): Value {
    const { b } = this;
    const flat = b.op('Reshape', [x, b.integers([-1, k])]);
    const product = b.op('Gemm', [flat, weight()], { transB: int(1) }, { name: `/${name}/Gemm` });
    const lead = b.op('Slice', [b.op('Shape', [x]), b.integers([0]), b.integers([-1])]);
    return b.op('Reshape', [product, b.op('Concat', [lead, b.integers([n])], { axis: int(0) })]);
  }

  /** RMS norm over the last axis of `size` elements; without a name it has no weight. */
  norm(x: Value, name: string | undefined, size: number): Value {
    const { b, form } = this;
    const weight = this.#normWeight(name, size);
    const kind = form.norm ?? 'decomposed';
    const attributes = { axis: int(-1), epsilon: float(EPSILON) };
    if (kind === 'standard') return b.op('RMSNormalization', [x, weight], attributes);
    if (kind === 'simplified' || kind === 'skip')
      return b.op('SimplifiedLayerNormalization', [x, weight], { ...attributes, stash_type: int(1) });
    const square = kind === 'mul' ? b.op('Mul', [x, x]) : b.op('Pow', [x, b.scalar(2)]);
    const root = b.op('Sqrt', [b.op('Add', [this.reduce('ReduceMean', square, -1), b.scalar(EPSILON)])]);
    const scaled = kind === 'mul' ? b.op('Div', [x, root]) : b.op('Mul', [x, b.op('Reciprocal', [root])]);
    return name === undefined ? scaled : b.op('Mul', [weight, scaled]);
  }

  #normWeight(name: string | undefined, size: number): Value {
    const make = (): Float32Array =>
      name === undefined ? new Float32Array(size).fill(1) : noise(size, seedOf(name)).map((value) => 1 + 0.2 * value);
    return this.constant(`${name ?? `ones_${size}`}.weight`, () => float32s(make()));
  }

  /** The norm of a stream, and the stream with everything added. */
  streamNorm({ residual, added }: Stream, name: string, size: number): { readonly normed: Value; readonly sum: Value } {
    const { b, form } = this;
    if (form.norm === 'skip' && added !== undefined) {
      const weight = this.#normWeight(name, size);
      const types = [undefined, undefined, undefined, undefined];
      const op = 'com.microsoft::SkipSimplifiedLayerNormalization';
      const node = b.node(op, [residual, added, weight], { epsilon: float(EPSILON) }, { types });
      const [normed, , , sum] = node.outputs as [Value, Value, Value, Value];
      return { normed, sum };
    }
    const sum = added === undefined ? residual : b.op('Add', [residual, added]);
    return { normed: this.norm(sum, name, size), sum };
  }

  reduce(op: 'ReduceMean' | 'ReduceSum', x: Value, axis: number): Value {
    const { b, form } = this;
    const keepdims = int(1);
    return form.opset < 18 && op === 'ReduceMean'
      ? b.op(op, [x], { axes: ints([axis]), keepdims })
      : b.op(op, [x, b.integers([axis])], { keepdims });
  }

  activate(x: Value): Value {
    const { b, form, spec } = this;
    const kind = form.activation ?? 'decomposed';
    if (spec.activation !== 'gelu-tanh') {
      if (kind === 'contrib') return b.op('com.microsoft::QuickGelu', [x], { alpha: float(1) });
      return kind === 'operator' && form.opset >= 24 ? b.op('Swish', [x]) : b.op('Mul', [x, b.op('Sigmoid', [x])]);
    }
    if (kind === 'contrib') return b.op('com.microsoft::FastGelu', [x]);
    if (kind === 'operator' && form.opset >= 20) return b.op('Gelu', [x], { approximate: string('tanh') });
    const cube = b.op('Pow', [x, b.scalar(3)]);
    const inner = b.op('Add', [x, b.op('Mul', [cube, b.scalar(0.044715)])]);
    const bracket = b.op('Add', [b.op('Tanh', [b.op('Mul', [inner, b.scalar(0.7978845608)])]), b.scalar(1)]);
    return b.op('Mul', [b.op('Mul', [x, b.scalar(0.5)]), bracket]);
  }

  /** cap · tanh(x / cap). */
  capped(x: Value, cap: number | undefined): Value {
    const { b } = this;
    return cap === undefined ? x : b.op('Mul', [b.op('Tanh', [b.op('Div', [x, b.scalar(cap)])]), b.scalar(cap)]);
  }

  split(x: Value, sizes: readonly number[]): readonly Value[] {
    return this.b.ops('Split', [x, this.b.integers(sizes)], sizes.length, { axis: int(-1) });
  }
}

/** A seed that goes with a name. */
export function seedOf(name: string): number {
  let hash = 7;
  for (const letter of name) hash = (Math.imul(hash, 31) + (letter.codePointAt(0) ?? 0)) & 0xffff;
  return hash;
}
