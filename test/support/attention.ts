/** Attention as single operators, in every kind that exporters write: graphs with their feeds. */
import { type Attribute, int } from '../../src/onnx/ir/attribute.js';
import type { Model, Value } from '../../src/onnx/ir/graph.js';
import { float32s } from '../../src/onnx/ir/tensor.js';
import { GraphBuilder } from '../../src/onnx/rewrite/builder.js';
import { type Feeds, floats, type HostTensor, integers } from '../../src/runtime/runtime.js';
import { noise } from './decoder.js';

const [BATCH, LENGTH, HEADS, GROUPS, WIDTH] = [2, 7, 4, 2, 32];
const type = { dtype: 'float32', shape: [BATCH, LENGTH, HEADS * WIDTH] } as const;

/** Inputs of a graph that is being built, and what they are fed with; no two have the same numbers. */
class Inputs {
  readonly feeds: Record<string, HostTensor> = {};
  readonly #b: GraphBuilder;

  constructor(b: GraphBuilder) {
    this.#b = b;
  }

  floats(name: string, ...dims: number[]): Value {
    const count = dims.reduce((product, dim) => product * dim, 1);
    const numbers = noise(count, Object.keys(this.feeds).length + 1).map((value) => 3 * value);
    return this.feed(name, floats(numbers, dims));
  }

  feed(name: string, tensor: HostTensor): Value {
    this.feeds[name] = tensor;
    return this.#b.input(name, tensor.dtype, tensor.dims);
  }

  /** True for keys that are no later than their query, and not the third. */
  mask(): Value {
    const data = Uint8Array.from({ length: LENGTH * LENGTH }, (_, at) => {
      const [row, column] = [Math.floor(at / LENGTH), at % LENGTH];
      return column <= row && (column !== 2 || row === 2) ? 1 : 0;
    });
    return this.feed('mask', { dtype: 'bool', dims: [LENGTH, LENGTH], data });
  }
}

/** A graph with one output y, and what it is fed with. */
export interface Case {
  readonly model: Model;
  readonly feeds: Feeds;
}

function built(opset: number, build: (b: GraphBuilder, inputs: Inputs) => Value, result = type.shape): Case {
  const b = new GraphBuilder({ opset });
  const inputs = new Inputs(b);
  b.output(build(b, inputs), 'y', { dtype: 'float32', shape: result });
  return { model: b.model(), feeds: inputs.feeds };
}

export interface Grouped {
  readonly packed?: boolean;
  /** Pairs of a head that turn; 0: no rotation inside. */
  readonly pairs?: number;
  readonly positions?: boolean;
  readonly bias?: boolean;
  readonly attributes?: Readonly<Record<string, Attribute>>;
}

export function grouped({
  packed = false,
  pairs = 0,
  positions = false,
  bias = false,
  attributes = {},
}: Grouped): Case {
  return built(18, (b, inputs) => {
    const plain = (name: string, heads: number): Value => inputs.floats(name, BATCH, LENGTH, heads * WIDTH);
    const operands = packed
      ? [plain('qkv', HEADS + 2 * GROUPS), undefined, undefined]
      : [plain('q', HEADS), plain('k', GROUPS), plain('v', GROUPS)];
    const [pastKey, pastValue] = ['k', 'v'].map((name) => inputs.floats(`past_${name}`, BATCH, GROUPS, 0, WIDTH));
    const seen = { dtype: 'int32', dims: [BATCH], data: new Int32Array(BATCH).fill(LENGTH - 1) } as const;
    const total = { dtype: 'int32', dims: [], data: Int32Array.of(LENGTH) } as const;
    const table = (name: string, turn: (angle: number) => number): Value | undefined => {
      const numbers = Float32Array.from({ length: 20 * pairs }, (_, at) =>
        turn(Math.floor(at / pairs) / 3 ** (at % pairs)),
      );
      return pairs === 0 ? undefined : b.constant(float32s(numbers, [20, pairs]), name);
    };
    const rows = Array.from({ length: BATCH * LENGTH }, (_, at) => 3 + (at % LENGTH));
    const rotary = [
      table('cos', Math.cos),
      table('sin', Math.sin),
      positions ? inputs.feed('positions', integers(rows, [BATCH, LENGTH])) : undefined,
      bias ? inputs.floats('bias', 1, HEADS, LENGTH, LENGTH) : undefined,
    ];
    const counted = [inputs.feed('seqlens_k', seen), inputs.feed('total_sequence_length', total)];
    const all = [...operands, pastKey, pastValue, ...counted, ...rotary];
    while (all.at(-1) === undefined) all.pop();
    const heads = { num_heads: int(HEADS), kv_num_heads: int(GROUPS), do_rotary: int(pairs > 0 ? 1 : 0) };
    const types = [undefined, undefined, undefined];
    const name = 'com.microsoft::GroupQueryAttention';
    return b.node(name, all, { ...heads, ...attributes }, { types }).outputs[0] as Value;
  });
}

export function multiHead(biased: boolean, attributes: Readonly<Record<string, Attribute>>): Case {
  return built(18, (b, inputs) => {
    const operands = ['q', 'k', 'v'].map((name) => inputs.floats(name, ...type.shape));
    const bias = biased ? [undefined, undefined, inputs.floats('bias', BATCH, HEADS, LENGTH, LENGTH)] : [];
    return b.op('com.microsoft::MultiHeadAttention', [...operands, ...bias], { num_heads: int(HEADS), ...attributes });
  });
}

export interface Plain {
  readonly rank?: 3 | 4;
  readonly mask?: 'bool' | 'float';
  readonly attributes?: Readonly<Record<string, Attribute>>;
}

export function plain(opset: number, { rank = 4, mask, attributes = {} }: Plain): Case {
  const shapeOf = (heads: number): number[] =>
    rank === 4 ? [BATCH, heads, LENGTH, WIDTH] : [BATCH, LENGTH, heads * WIDTH];
  return built(
    opset,
    (b, inputs) => {
      const [q, k, v] = [HEADS, GROUPS, GROUPS].map((heads, at) => inputs.floats(`x${at}`, ...shapeOf(heads)));
      const given = mask === 'bool' ? inputs.mask() : mask && inputs.floats('mask', 1, 1, LENGTH, LENGTH);
      const heads = rank === 3 ? { q_num_heads: int(HEADS), kv_num_heads: int(GROUPS) } : {};
      return b.op('Attention', [q, k, v, ...(given ? [given] : [])], { ...heads, ...attributes });
    },
    shapeOf(HEADS) as unknown as typeof type.shape,
  );
}
