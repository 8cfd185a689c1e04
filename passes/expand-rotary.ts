/**
 * Rotary embeddings in elementary operators.
 *
 * Matches: RotaryEmbedding of com.microsoft (x, positions, cos, sin) and of ONNX (x, cos, sin, positions?), x [batch, length,
 *   hidden] or [batch, heads, length, width].
 * Becomes: rows of the tables, products, and the halves (or neighbours) put together again.
 * Why it is sound: the specification of the operators.
 * Refuses when: the width of the tables cannot be told, positions are one offset, or the number of heads is not known.
 */
import { elementTypeOf } from '../src/analysis/element-types.js';
import { rankOf } from '../src/analysis/rank.js';
import { intAttribute, type Node, placeOf, type Value } from '../src/onnx/ir/graph.js';
import type { FloatDType } from '../src/onnx/ir/half.js';
import { AttentionForm } from '../src/onnx/rewrite/attention-form.js';
import { definePass, type NoOptions, noOptions, type Pass } from '../src/onnx/rewrite/define-pass.js';
import { applyRule, failed, type Match, matched, type Rule } from '../src/onnx/rewrite/match.js';
import type { Rewriter } from '../src/onnx/rewrite/rewriter.js';

interface Embedding {
  readonly node: Node;
  readonly x: Value;
  readonly rank: number;
  readonly cos: Value;
  readonly sin: Value;
  /** Rows of the tables to take; without, the tables hold a row for each position. */
  readonly positions: Value | undefined;
  readonly pairs: number;
  /** Heads of a three-dimensional x. */
  readonly heads: number;
  readonly partial: boolean;
  readonly dtype: FloatDType;
}

const rule: Rule<Embedding> = { ops: ['com.microsoft::RotaryEmbedding', 'RotaryEmbedding'], match, apply: expand };

export const expandRotary: Pass<NoOptions> = definePass({
  name: 'expand-rotary',
  summary: 'Writes rotary embeddings out in elementary operators.',
  options: noOptions,
  keeps: 'values',
  run(rw) {
    applyRule(rw, rule);
  },
});

const FLOATS: readonly FloatDType[] = ['float32', 'float16', 'bfloat16'];

function match(node: Node): Match<Embedding> {
  const at = placeOf(node);
  const [x, second, third, fourth] = node.inputs;
  const [cos, sin, positions] = node.domain === '' ? [second, third, fourth] : [third, fourth, second];
  if (x === undefined || cos === undefined || sin === undefined) return failed(at, 'an input is absent');
  if (positions?.type?.shape?.length === 1) return failed(at, 'its positions are one offset');
  const dtype = FLOATS.find((each) => elementTypeOf(x) === each);
  if (dtype === undefined) return failed(at, 'its element type cannot be told');
  const sizes = sizesOf(node, x, cos);
  return typeof sizes === 'string' ? failed(at, sizes) : matched({ node, x, cos, sin, positions, dtype, ...sizes });
}

/** Rank, pairs and heads, or what is missing to tell them. */
function sizesOf(node: Node, x: Value, cos: Value): Pick<Embedding, 'rank' | 'pairs' | 'heads' | 'partial'> | string {
  const rank = rankOf(x);
  if (rank !== 3 && rank !== 4) return 'the rank of its input cannot be told';
  const turning = intAttribute(node, 'rotary_embedding_dim', 0);
  const partial = turning > 0;
  const width = x.type?.shape?.at(-1);
  const pairs = cos.initializer?.shape.at(-1) ?? cos.type?.shape?.at(-1) ?? pairsOf(rank, partial ? turning : width);
  if (typeof pairs !== 'number') return 'the width of its tables cannot be told';
  const stated = intAttribute(node, 'num_heads', 0);
  const heads = stated > 0 ? stated : typeof width === 'number' && !partial ? width / (2 * pairs) : 0;
  if (rank === 3 && !(Number.isInteger(heads) && heads > 0)) return 'its number of heads cannot be told';
  return { rank, pairs, heads, partial };
}

/** Half of the numbers of a head that turn, where heads are apart. */
const pairsOf = (rank: number, turning: unknown): number | undefined =>
  rank === 4 && typeof turning === 'number' ? turning / 2 : undefined;

function expand(rw: Rewriter, { node, x, rank, cos, sin, positions, pairs, heads, partial, dtype }: Embedding): void {
  const form = new AttentionForm(rw, node, dtype);
  const split = rank === 3 ? form.split(x, heads) : x;
  // Without positions the tables are [batch, length, pairs] already.
  const [c, s] = [cos, sin].map((table) =>
    positions === undefined ? form.reshape(table, [0, 1, -1, pairs]) : form.rows(table, pairs, split, positions),
  ) as [Value, Value];
  const interleaved = intAttribute(node, 'interleaved', 0) === 1;
  const turned = form.rotate(split, c, s, { pairs, interleaved, partial });
  const result = rank === 3 ? form.merge(turned) : turned;
  rw.replaceNode(node, { op: 'Identity', inputs: [result], name: placeOf(node) });
}
