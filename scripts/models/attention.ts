/** Attention of one layer, written out or in single operators. */
import { float, int, ints } from '../../src/onnx/ir/attribute.js';
import type { Value } from '../../src/onnx/ir/graph.js';
import type { NamedAttributes } from '../../src/onnx/rewrite/builder.js';
import type { Parts } from './parts.js';
import type { Positions } from './positions.js';
import { SIZE } from './spec.js';

const { heads, width, hidden } = SIZE;
const SCALE = width ** -0.5;

/** Keys and values of a layer, [batch, heads, all, width]. */
export interface Keys {
  readonly key: Value;
  readonly value: Value;
}

export interface Attended {
  readonly output: Value;
  readonly keys: Keys;
}

/** What one layer has beside its input. */
export interface Place {
  readonly layer: number;
  readonly positions: Positions;
  readonly past: Keys | undefined;
  /** Keys of another layer, read instead of its own. */
  readonly shared: Keys | undefined;
}

export function attention(parts: Parts, x: Value, place: Place): Attended {
  const { form, spec } = parts;
  const at = `layers.${place.layer}.attn`;
  const [q, k, v] = projections(parts, x, at, place.shared !== undefined);
  const turned = place.layer % 2 === 0 || spec.withoutRotation !== true;
  const inside = form.attention === 'grouped, rotating' && turned;
  const query = temper(parts, turned && !inside ? rotated(parts, q, place.positions) : q, place);
  const own = place.shared ?? {
    key: turned && !inside ? rotated(parts, k, place.positions) : k,
    value: v,
  };
  const { context, keys } = form.attention?.startsWith('grouped')
    ? grouped(parts, query, own, place, inside)
    : plain(parts, query, place.shared ?? joined(parts, own, place.past), place);
  return { output: parts.linear(context, `${at}.o_proj`, heads * width, hidden), keys };
}

/** [batch, heads, tokens, width]. */
const apart = ({ b }: Parts, x: Value): Value =>
  b.op('Transpose', [b.op('Reshape', [x, b.integers([0, 0, -1, width])])], { perm: ints([0, 2, 1, 3]) });

/** [batch, tokens, heads · width]. */
const together = ({ b }: Parts, x: Value): Value =>
  b.op('Reshape', [b.op('Transpose', [x], { perm: ints([0, 2, 1, 3]) }), b.integers([0, 0, -1])]);

/** Queries, keys and values by head; without keys of their own, queries stand for them. */
function projections(parts: Parts, x: Value, at: string, isShared: boolean): readonly [Value, Value, Value] {
  const { spec } = parts;
  const groups = spec.kvHeads ?? 2;
  const sizes = [heads * width, groups * width, groups * width];
  const biased = spec.biases === true;
  const project = (name: string, size: number): Value => parts.linear(x, `${at}.${name}`, hidden, size, biased);
  const split = (): readonly Value[] =>
    spec.packed
      ? parts.split(project('qkv_proj', 2 * groups * width + heads * width), sizes)
      : ['q_proj', 'k_proj', 'v_proj'].flatMap((name, index) => {
          if (isShared && index > 0) return [];
          return index === 2 && spec.keysAreValues ? [] : [project(name, sizes[index] as number)];
        });
  const [q, k, v] = split().map((each) => apart(parts, each)) as [Value, Value | undefined, Value | undefined];
  const normed = (value: Value, name: string): Value =>
    spec.headNorms ? parts.norm(value, `${at}.${name}`, width) : value;
  const query = normed(q, 'q_norm');
  if (isShared || k === undefined) return [query, query, query];
  const value = v ?? k;
  return [query, normed(k, 'k_norm'), spec.valueNorm ? parts.norm(value, undefined, width) : value];
}

function rotated({ b, spec }: Parts, x: Value, { cos, sin }: Positions): Value {
  const turned = width * (spec.rotaryShare ?? 1);
  const cut = (value: Value, from: number, to: number): Value =>
    b.op('Slice', [value, ...[[from], [to], [3]].map((each) => b.integers(each))]);
  const [head, tail] = turned === width ? [x, undefined] : [cut(x, 0, turned), cut(x, turned, width)];
  const [left, right] = [cut(head, 0, turned / 2), cut(head, turned / 2, turned)];
  const half = b.op('Concat', [b.op('Neg', [right]), left], { axis: int(3) });
  const made = b.op('Add', [b.op('Mul', [head, cos]), b.op('Mul', [half, sin])]);
  return tail === undefined ? made : b.op('Concat', [made, tail], { axis: int(3) });
}

const temper = ({ b }: Parts, q: Value, { positions }: Place): Value =>
  positions.temperature === undefined ? q : b.op('Mul', [q, positions.temperature]);

function joined({ b }: Parts, { key, value }: Keys, past: Keys | undefined): Keys {
  if (past === undefined) return { key, value };
  const join = (before: Value, now: Value): Value => b.op('Concat', [before, now], { axis: int(2) });
  return { key: join(past.key, key), value: join(past.value, value) };
}

interface Mixed {
  /** [batch, tokens, heads · width]. */
  readonly context: Value;
  readonly keys: Keys;
}

function plain(parts: Parts, q: Value, keys: Keys, { layer, positions }: Place): Mixed {
  const { b, spec, form } = parts;
  const local = spec.window !== undefined && layer % 2 === 0;
  const bias = local ? positions.windowBias : positions.bias;
  if (form.attention === 'standard') {
    const attributes = { scale: float(SCALE), ...(spec.attentionCap && { softcap: float(spec.attentionCap) }) };
    const context = b.op('Attention', [q, keys.key, keys.value, bias], attributes);
    return { context: together(parts, context), keys };
  }
  const [key, value] = [keys.key, keys.value].map((each) => repeated(parts, each)) as [Value, Value];
  if (form.attention === 'multi-head') {
    const inputs = [q, key, value].map((each) => together(parts, each));
    const attributes = { num_heads: int(heads), scale: float(SCALE) };
    const more = [undefined, undefined, bias];
    return { context: b.op('com.microsoft::MultiHeadAttention', [...inputs, ...more], attributes), keys };
  }
  const scores = b.op('MatMul', [q, b.op('Transpose', [key], { perm: ints([0, 1, 3, 2]) })]);
  const capped = parts.capped(b.op('Mul', [scores, b.scalar(SCALE)]), spec.attentionCap);
  const weights = b.op('Softmax', [b.op('Add', [capped, bias])], { axis: int(-1) });
  return { context: together(parts, b.op('MatMul', [weights, value])), keys };
}

/** Keys for every query head. */
function repeated({ b, spec }: Parts, x: Value): Value {
  const groups = spec.kvHeads ?? 2;
  if (groups === heads) return x;
  const wide = b.op('Unsqueeze', [x, b.integers([2])]);
  const many = b.op('Expand', [wide, b.integers([1, 1, heads / groups, 1, 1])]);
  return b.op('Reshape', [many, b.integers([0, heads, -1, width])]);
}

function grouped(parts: Parts, q: Value, own: Keys, place: Place, inside: boolean): Mixed {
  const { b, spec } = parts;
  const { layer, positions, past } = place;
  const local = spec.window !== undefined && layer % 2 === 0;
  const attributes: NamedAttributes = {
    num_heads: int(heads),
    kv_num_heads: int(spec.kvHeads ?? 2),
    scale: float(SCALE),
    ...(spec.attentionCap && { softcap: float(spec.attentionCap) }),
    ...(local && { local_window_size: int(spec.window) }),
    ...(inside && { do_rotary: int(1), rotary_interleaved: int(0) }),
  };
  const states = [q, own.key, own.value].map((each) => together(parts, each));
  const tables = inside ? positions.tables : [];
  const inputs = [...states, past?.key, past?.value, ...positions.lengths, ...tables];
  const types = [undefined, undefined, undefined];
  const node = b.node('com.microsoft::GroupQueryAttention', inputs, attributes, { types });
  const [context, key, value] = node.outputs as [Value, Value, Value];
  return { context, keys: { key, value } };
}
