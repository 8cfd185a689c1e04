/**
 * A head that repeats the embedding reads the embedding.
 *
 * Matches: a language-model head whose weight [K, N] holds, bit for bit, the values of the token table [V, H] (V = N, H = K),
 * or the same values in a wider type.
 * Becomes: the head reads Transpose(table), or the table itself where both are stored alike, cast where types differ; the copy is
 * dropped.
 * Why it is sound: both tensors hold the same matrix (compared in full). ONNX Runtime folds Transpose and Cast when a session is
 * made, so the file shrinks and memory does not.
 * Refuses when: the copy has other readers, or is made in another graph than the table.
 */
import type { Embedding, Projection } from '../src/analysis/projection.js';
import { analyse } from '../src/analysis/projections.js';
import { int, ints } from '../src/onnx/ir/attribute.js';
import { DTYPES, type DType } from '../src/onnx/ir/dtype.js';
import { type Graph, graphsOf, type Model, type Node, subgraphsOf, type Value } from '../src/onnx/ir/graph.js';
import { definePass, type NoOptions, noOptions, type Pass } from '../src/onnx/rewrite/define-pass.js';
import type { Rewriter } from '../src/onnx/rewrite/rewriter.js';

export const shareTiedHead: Pass<NoOptions> = definePass({
  name: 'share-tied-head',
  summary: 'Stores a head that repeats the token embedding only once.',
  options: noOptions,
  keeps: 'values',
  run(rw) {
    const pair = copyIn(rw.model);
    if (pair !== undefined) share(rw, pair);
  },
});

/** A table, and the head that repeats it. */
interface Pair {
  readonly embedding: Embedding;
  readonly head: Projection;
}

function copyIn(model: Model): Pair | undefined {
  const { embedding, projections } = analyse(model);
  const head = projections.find(({ role }) => role === 'head');
  return embedding?.head === 'copy' && head !== undefined ? { embedding, head } : undefined;
}

function share(rw: Rewriter, { embedding, head }: Pair): void {
  const [copy, table] = [head.weight.source, embedding.weight.source];
  const anchor = firstReader(copy.graph, copy);
  if (anchor === undefined || copy.initializer === undefined || table.graph !== copy.graph) return;
  if (table.producer !== undefined && copy.graph.nodes.indexOf(table.producer) > copy.graph.nodes.indexOf(anchor))
    return;
  const [from, to] = [dtypeOf(table), dtypeOf(copy)];
  if (from === undefined || to === undefined) return;
  const narrow = embedding.weight.layout === head.weight.layout ? table : flipped(rw, anchor, table, copy, from);
  rw.replaceUses(copy, from === to ? narrow : cast(rw, anchor, narrow, copy, to));
  rw.eraseInitializer(copy);
}

/** Transpose(table) before `anchor`, with the shape of the copy that it stands for. */
function flipped(rw: Rewriter, anchor: Node, table: Value, copy: Value, dtype: DType): Value {
  const attributes = { perm: ints([1, 0]) };
  const name = `${table.name}_transposed`;
  return rw.insert(anchor, {
    op: 'Transpose',
    inputs: [table],
    attributes,
    name,
    types: [copy.type && { ...copy.type, dtype }],
  });
}

/** The values in the type of the copy that they stand for. */
function cast(rw: Rewriter, anchor: Node, values: Value, copy: Value, dtype: DType): Value {
  const attributes = { to: int(DTYPES[dtype].onnx) };
  return rw.insert(anchor, {
    op: 'Cast',
    inputs: [values],
    attributes,
    name: `${values.name}_cast`,
    types: [copy.type],
  });
}

const dtypeOf = (value: Value): DType | undefined => value.initializer?.dtype ?? value.type?.dtype;

/** The first node of `graph` that reads `value`, itself or in a graph it holds. */
function firstReader(graph: Graph, value: Value): Node | undefined {
  return graph.nodes.find((node) => {
    const inside = new Set<Graph>(subgraphsOf(node).flatMap((inner) => [...graphsOf(inner)]));
    return [...value.uses].some((use) => use.node === node || inside.has(use.node.graph));
  });
}
