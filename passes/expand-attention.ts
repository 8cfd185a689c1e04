/**
 * Attention operators in elementary operators, for a text that starts from an empty cache and has no gaps.
 *
 * Matches: com.microsoft GroupQueryAttention (packed or not, with or without rotary embedding, soft cap and window) and
 *   MultiHeadAttention, ONNX Attention.
 * Becomes: scores, mask, softmax and the products before and after, with keys and values repeated for grouped queries.
 * Why it is sound: the specifications of the operators, with a past of length 0 and every position of every window attended.
 * Refuses when: keys and values are read as a cache, biases or sinks take part, or a shape that is needed cannot be told.
 * Used for gradients only: a compiled model keeps its operators.
 */
import { elementTypeOf } from '../src/analysis/element-types.js';
import { rankOf } from '../src/analysis/rank.js';
import { floatAttribute, intAttribute, type Node, placeOf, type Value } from '../src/onnx/ir/graph.js';
import type { FloatDType } from '../src/onnx/ir/half.js';
import { AttentionForm, type Operands } from '../src/onnx/rewrite/attention-form.js';
import { definePass, type NoOptions, noOptions, type Pass } from '../src/onnx/rewrite/define-pass.js';
import { applyRule, failed, type Match, matched, type Rule } from '../src/onnx/rewrite/match.js';
import type { Rewriter } from '../src/onnx/rewrite/rewriter.js';

export const expandAttention: Pass<NoOptions> = definePass({
  name: 'expand-attention',
  summary: 'Writes attention from an empty cache out in elementary operators.',
  options: noOptions,
  keeps: 'values',
  run(rw) {
    for (const rule of [groupedRule, multiHeadRule, attentionRule]) applyRule(rw, rule);
  },
});

/** An attention of any kind, with the width of one head. */
interface Attention {
  readonly node: Node;
  readonly dtype: FloatDType;
  readonly heads: number;
  readonly groups: number;
  readonly width: number;
}

const FLOATS: readonly FloatDType[] = ['float32', 'float16', 'bfloat16'];

/** What all kinds need: a known type, heads, and nobody who reads more than the first output. */
function common(node: Node, heads: number, groups: number, packed: number): Match<Attention> {
  const at = placeOf(node);
  const [query] = node.inputs;
  const dtype = query && FLOATS.find((each) => elementTypeOf(query) === each);
  if (query === undefined || dtype === undefined) return failed(at, 'its element type cannot be told');
  const read = node.outputs.slice(1).some((value) => value !== undefined && (value.uses.size > 0 || value.isOutput));
  if (read) return failed(at, 'its keys and values are read as a cache');
  const last = query.type?.shape?.at(-1);
  const width = rankOf(query) === 4 ? last : typeof last === 'number' ? last / packed : undefined;
  if (typeof width !== 'number' || !Number.isInteger(width)) return failed(at, 'the width of a head cannot be told');
  return matched({ node, dtype, heads, groups, width });
}

const isAbsent = (node: Node, ...slots: readonly number[]): boolean =>
  slots.every((slot) => node.inputs[slot] === undefined);
const scaleOf = ({ node, width }: Attention): number => {
  const stated = floatAttribute(node, 'scale', 0);
  return stated === 0 ? 1 / Math.sqrt(width) : stated;
};

const groupedRule: Rule<Attention> = {
  ops: ['com.microsoft::GroupQueryAttention'],
  match(node) {
    const [heads, groups] = [intAttribute(node, 'num_heads', 0), intAttribute(node, 'kv_num_heads', 0)];
    if (!isAbsent(node, 11) || intAttribute(node, 'smooth_softmax', 0) === 1)
      return failed(placeOf(node), 'its softmax has a sink');
    const rotary = intAttribute(node, 'do_rotary', 0) === 1;
    if (rotary && typeof pairsOf(node.inputs[7]) !== 'number')
      return failed(placeOf(node), 'the width of its rotary tables cannot be told');
    return common(node, heads, groups, node.inputs[1] === undefined ? heads + 2 * groups : heads);
  },
  apply(rw, attention) {
    const { node, dtype, heads, groups } = attention;
    const form = new AttentionForm(rw, node, dtype);
    const { q, k, v } = rotated(form, attention, operandsOf(form, attention));
    const repeated = { q, k: form.repeat(k, groups, heads / groups), v: form.repeat(v, groups, heads / groups) };
    const result = form.attend(repeated, {
      scale: scaleOf(attention),
      softcap: floatAttribute(node, 'softcap', 0),
      bias: node.inputs[10],
      mask: form.causal(q, intAttribute(node, 'local_window_size', -1)),
    });
    finish(rw, node, form.merge(result));
  },
};

const pairsOf = (table: Value | undefined): unknown => table?.initializer?.shape.at(-1) ?? table?.type?.shape?.at(-1);

/** Heads apart; of a packed projection queries come first, then keys, then values. */
function operandsOf(form: AttentionForm, { node, heads, groups }: Attention): Operands {
  const [query, key, value] = node.inputs as [Value, Value | undefined, Value | undefined];
  if (key !== undefined && value !== undefined)
    return { q: form.split(query, heads), k: form.split(key, groups), v: form.split(value, groups) };
  const all = form.split(query, heads + 2 * groups);
  const ends = [heads, heads + groups, heads + 2 * groups] as const;
  return {
    q: form.slice(all, 0, ends[0], 1),
    k: form.slice(all, ends[0], ends[1], 1),
    v: form.slice(all, ends[1], ends[2], 1),
  };
}

function rotated(form: AttentionForm, { node, width }: Attention, { q, k, v }: Operands): Operands {
  const [cos, sin, positions] = node.inputs.slice(7, 10);
  if (intAttribute(node, 'do_rotary', 0) !== 1 || cos === undefined || sin === undefined) return { q, k, v };
  const pairs = pairsOf(cos) as number;
  const rotary = { pairs, interleaved: intAttribute(node, 'rotary_interleaved', 0) === 1, partial: 2 * pairs < width };
  const [c, s] = [cos, sin].map((table) => form.rows(table, pairs, q, positions)) as [Value, Value];
  return { q: form.rotate(q, c, s, rotary), k: form.rotate(k, c, s, rotary), v };
}

const multiHeadRule: Rule<Attention> = {
  ops: ['com.microsoft::MultiHeadAttention'],
  match(node) {
    const [query, key, value, bias] = node.inputs;
    const ranks = [query, key, value].map((each) => each && rankOf(each));
    if (ranks.some((rank) => rank !== 3)) return failed(placeOf(node), 'its operands are packed');
    if (bias !== undefined) return failed(placeOf(node), 'its projections have biases inside');
    const heads = intAttribute(node, 'num_heads', 0);
    return common(node, heads, heads, heads);
  },
  apply(rw, attention) {
    const { node, dtype } = attention;
    const form = new AttentionForm(rw, node, dtype);
    const operands = operandsOf(form, attention);
    const causal = intAttribute(node, 'unidirectional', 0) === 1;
    const mask = causal ? form.causal(operands.q, -1) : undefined;
    const result = form.attend(operands, { scale: scaleOf(attention), softcap: 0, bias: node.inputs[5], mask });
    finish(rw, node, form.merge(result));
  },
};

const attentionRule: Rule<Attention> = {
  ops: ['Attention'],
  match(node) {
    const [query, key] = node.inputs;
    const isSplit = query !== undefined && rankOf(query) === 4;
    const headsOf = (value: Value | undefined, name: string): unknown =>
      isSplit ? value?.type?.shape?.[1] : intAttribute(node, name, 0);
    const [heads, groups] = [headsOf(query, 'q_num_heads'), headsOf(key, 'kv_num_heads')];
    if (typeof heads !== 'number' || typeof groups !== 'number')
      return failed(placeOf(node), 'its number of heads cannot be told');
    if (!isAbsent(node, 6)) return failed(placeOf(node), 'its keys and values are a cache that is filled in part');
    return common(node, heads, groups, heads);
  },
  apply(rw, attention) {
    const { node, dtype, heads, groups } = attention;
    const form = new AttentionForm(rw, node, dtype);
    const [query, key, value, given] = node.inputs as [Value, Value, Value, Value | undefined];
    const isSplit = rankOf(query) === 4;
    const { q, k, v } = isSplit ? { q: query, k: key, v: value } : operandsOf(form, attention);
    const repeated = { q, k: form.repeat(k, groups, heads / groups), v: form.repeat(v, groups, heads / groups) };
    const isBoolean = given !== undefined && elementTypeOf(given) === 'bool';
    const causal = intAttribute(node, 'is_causal', 0) === 1 ? form.causal(q, -1) : undefined;
    const both = isBoolean && causal !== undefined ? form.op('And', [given, causal]) : undefined;
    const result = form.attend(repeated, {
      scale: scaleOf(attention),
      softcap: floatAttribute(node, 'softcap', 0),
      bias: isBoolean ? undefined : given,
      mask: both ?? causal ?? (isBoolean ? given : undefined),
    });
    finish(rw, node, isSplit ? result : form.merge(result));
  },
};

/** The result takes the name of the first output; the others are read by nobody. */
function finish(rw: Rewriter, node: Node, result: Value): void {
  rw.takeOver(node, [node.outputs[0]], { op: 'Identity', inputs: [result], name: placeOf(node) });
  rw.erase(node);
}
