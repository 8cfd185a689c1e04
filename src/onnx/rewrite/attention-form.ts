/**
 * Attention and rotary embedding written out in elementary operators, before a node whose place they take. Shapes stay dynamic:
 * they are read from the operands where the graph runs. What is built starts from an empty cache.
 */
import type { Attribute } from '../ir/attribute.js';
import { int, ints } from '../ir/attribute.js';
import type { Node, Value } from '../ir/graph.js';
import { placeOf } from '../ir/graph.js';
import type { FloatDType } from '../ir/half.js';
import { floatScalar, int64Scalar, int64s } from '../ir/tensor.js';
import type { Rewriter } from './rewriter.js';

/** Queries, keys and values [batch, heads, length, width]. */
export interface Operands {
  readonly q: Value;
  readonly k: Value;
  readonly v: Value;
}

export interface ScoreOptions {
  readonly scale: number;
  /** 0: none. */
  readonly softcap: number;
  /** Added to the scores. */
  readonly bias?: Value | undefined;
  /** Boolean, true where a key is seen. */
  readonly mask?: Value | undefined;
}

/** Scores that are not seen: softmax gives them exactly 0 in float32 and float16. */
const UNSEEN = -60000;

/** Writes elementary operators in the place of one node. */
export class AttentionForm {
  readonly #rw: Rewriter;
  readonly #node: Node;
  readonly #dtype: FloatDType;

  constructor(rw: Rewriter, node: Node, dtype: FloatDType) {
    this.#rw = rw;
    this.#node = node;
    this.#dtype = dtype;
  }

  op(op: string, inputs: readonly Value[], attributes: Readonly<Record<string, Attribute>> = {}): Value {
    return this.#rw.insert(this.#node, { op, inputs, attributes, name: `${placeOf(this.#node)}/${op}` });
  }

  integers(values: readonly number[]): Value {
    return this.#rw.initializer(this.#node.graph, `${placeOf(this.#node)}/integers`, int64s(values));
  }

  number(value: number): Value {
    return this.#rw.initializer(this.#node.graph, `${placeOf(this.#node)}/number`, floatScalar(value, this.#dtype));
  }

  reshape(value: Value, shape: readonly number[]): Value {
    return this.op('Reshape', [value, this.integers(shape)]);
  }

  slice(value: Value, from: number, to: number, axis: number): Value {
    return this.op('Slice', [value, ...[[from], [to], [axis]].map((each) => this.integers(each))]);
  }

  transpose(value: Value, perm: readonly number[]): Value {
    return this.op('Transpose', [value], { perm: ints(perm) });
  }

  /** [batch, length, heads · width] to [batch, heads, length, width]. */
  split(value: Value, heads: number): Value {
    return this.transpose(this.reshape(value, [0, 0, heads, -1]), [0, 2, 1, 3]);
  }

  /** [batch, heads, length, width] to [batch, length, heads · width]. */
  merge(value: Value): Value {
    return this.reshape(this.transpose(value, [0, 2, 1, 3]), [0, 0, -1]);
  }

  /** Every head `times` times in a row: keys and values of grouped queries. */
  repeat(value: Value, heads: number, times: number): Value {
    if (times === 1) return value;
    const inner = this.slice(this.op('Shape', [value]), 2, 4, 0);
    const apart = this.op('Concat', [this.integers([0, heads, 1]), inner], { axis: int(0) });
    const spread = this.op('Expand', [this.op('Reshape', [value, apart]), this.integers([1, 1, times, 1, 1])]);
    return this.op('Reshape', [
      spread,
      this.op('Concat', [this.integers([0, heads * times]), inner], { axis: int(0) }),
    ]);
  }

  /** softmax(scale · q kᵀ …) v, [batch, heads, length, width]. */
  attend({ q, k, v }: Operands, { scale, softcap, bias, mask }: ScoreOptions): Value {
    const product = this.op('MatMul', [q, this.transpose(k, [0, 1, 3, 2])]);
    const scaled = this.op('Mul', [product, this.number(scale)]);
    const capped = softcap === 0 ? scaled : this.#cap(scaled, softcap);
    const biased = bias === undefined ? capped : this.op('Add', [capped, bias]);
    const seen = mask === undefined ? biased : this.op('Where', [mask, biased, this.number(UNSEEN)]);
    return this.op('MatMul', [this.op('Softmax', [seen], { axis: int(-1) }), v]);
  }

  #cap(scores: Value, cap: number): Value {
    const limit = this.number(cap);
    return this.op('Mul', [this.op('Tanh', [this.op('Div', [scores, limit])]), limit]);
  }

  /** Boolean [length, length]: no key after its query, and with a window none that is `window` or more before it. */
  causal(q: Value, window: number): Value {
    const positions = this.#positions(q);
    const row = this.reshape(positions, [-1, 1]);
    const column = this.reshape(positions, [1, -1]);
    const past = this.op('LessOrEqual', [column, row]);
    if (window <= 0) return past;
    return this.op('And', [past, this.op('Greater', [column, this.op('Sub', [row, this.integers([window])])])]);
  }

  /** 0, 1, … for the length of [batch, heads, length, width]. */
  #positions(q: Value): Value {
    const [zero, one] = [0, 1].map((value) => this.#scalar(value)) as [Value, Value];
    const length = this.reshape(this.slice(this.op('Shape', [q]), 2, 3, 0), []);
    return this.op('Range', [zero, length, one]);
  }

  #scalar(value: number): Value {
    const tensor = int64Scalar(value);
    return this.#rw.initializer(this.#node.graph, `${placeOf(this.#node)}/integer`, tensor);
  }

  /** Rows of a table [rows, width] for the positions of q, [length, width], or those of `positions` [batch, length]. */
  rows(table: Value, width: number, q: Value, positions?: Value): Value {
    if (positions !== undefined) return this.reshape(this.op('Gather', [table, positions]), [0, 1, -1, width]);
    const length = this.slice(this.op('Shape', [q]), 2, 3, 0);
    return this.op('Slice', [table, this.integers([0]), length, this.integers([0])]);
  }

  /**
   * Rotates pairs of x [batch, heads, length, …] (Su et al. 2021): the first half with the second, or neighbours when interleaved.
   * `cos` and `sin` are [.., length, pairs]; what lies behind the first 2 · pairs numbers stays when `partial`.
   */
  rotate(x: Value, cos: Value, sin: Value, rotary: Rotary): Value {
    const { pairs, interleaved, partial } = rotary;
    const turning = partial ? this.slice(x, 0, 2 * pairs, 3) : x;
    const turned = interleaved
      ? this.#rotatePairs(turning, cos, sin, pairs)
      : this.#rotateHalves(turning, cos, sin, pairs);
    return partial ? this.op('Concat', [turned, this.slice(x, 2 * pairs, 2 ** 31 - 1, 3)], { axis: int(-1) }) : turned;
  }

  #rotateHalves(x: Value, cos: Value, sin: Value, pairs: number): Value {
    const turned = this.#turn(this.slice(x, 0, pairs, 3), this.slice(x, pairs, 2 * pairs, 3), cos, sin);
    return this.op('Concat', turned, { axis: int(-1) });
  }

  #rotatePairs(x: Value, cos: Value, sin: Value, pairs: number): Value {
    const shape = this.op('Shape', [x]);
    const apart = this.op('Concat', [this.slice(shape, 0, 3, 0), this.integers([pairs, 2])], { axis: int(0) });
    const both = this.op('Reshape', [x, apart]);
    const single = this.op('Concat', [this.slice(shape, 0, 3, 0), this.integers([pairs])], { axis: int(0) });
    const [first, second] = [0, 1].map((at) => this.op('Reshape', [this.slice(both, at, at + 1, 4), single]));
    const turned = this.#turn(first as Value, second as Value, cos, sin);
    const column = this.op('Concat', [single, this.integers([1])], { axis: int(0) });
    const columns = turned.map((each) => this.op('Reshape', [each, column]));
    return this.op('Reshape', [this.op('Concat', columns, { axis: int(-1) }), shape]);
  }

  #turn(first: Value, second: Value, cos: Value, sin: Value): readonly [Value, Value] {
    const mul = (a: Value, b: Value): Value => this.op('Mul', [a, b]);
    return [this.op('Sub', [mul(first, cos), mul(second, sin)]), this.op('Add', [mul(second, cos), mul(first, sin)])];
  }
}

export interface Rotary {
  /** Pairs that turn: the width of the tables. */
  readonly pairs: number;
  readonly interleaved: boolean;
  /** Whether numbers of a head stay as they are behind those that turn. */
  readonly partial: boolean;
}
