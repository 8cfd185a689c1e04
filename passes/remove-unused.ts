/**
 * Graphs without nodes and initializers that nobody reads.
 *
 * Matches: a node none of whose outputs is read or a graph output; an initializer that is neither read, fed nor an output.
 * Becomes: nothing.
 * Why it is sound: ONNX operators have no effect but their outputs.
 * Refuses when: never.
 */
import type { Graph, Node } from '../src/onnx/ir/graph.js';
import { subgraphsOf } from '../src/onnx/ir/graph.js';
import { definePass, type NoOptions, noOptions, type Pass } from '../src/onnx/rewrite/define-pass.js';
import { nothingUnused } from '../src/onnx/rewrite/facts.js';
import type { Rewriter } from '../src/onnx/rewrite/rewriter.js';

export const removeUnused: Pass<NoOptions> = definePass({
  name: 'remove-unused',
  summary: 'Removes nodes and initializers that lead to no graph output.',
  options: noOptions,
  needs: [],
  gives: [nothingUnused],
  keeps: 'bits',
  idempotent: true,
  run(rw) {
    sweepNodes(rw, rw.model.graph);
    sweepInitializers(rw, rw.model.graph);
  },
});

const isUnused = ({ outputs }: Node): boolean =>
  outputs.every((value) => value === undefined || (value.uses.size === 0 && !value.isOutput));

/** Backwards, so that what only a dead node read is dead when its turn comes; nested graphs after the nodes that read from them. */
function sweepNodes(rw: Rewriter, graph: Graph): void {
  for (const node of graph.nodes.toReversed()) {
    if (isUnused(node)) eraseWhole(rw, node);
    else for (const inner of subgraphsOf(node)) sweepNodes(rw, inner);
  }
}

/** The readers inside a dead node's own graphs die with it, so that the outer values they read lose them. */
function eraseWhole(rw: Rewriter, node: Node): void {
  for (const inner of subgraphsOf(node)) {
    for (let slot = inner.outputs.length - 1; slot >= 0; slot--) rw.removeOutput(inner, slot);
    for (const each of inner.nodes.toReversed()) eraseWhole(rw, each);
  }
  rw.erase(node);
}

function sweepInitializers(rw: Rewriter, graph: Graph): void {
  for (const node of graph.nodes) for (const inner of subgraphsOf(node)) sweepInitializers(rw, inner);
  for (const value of [...graph.initializers]) if (!value.isInput) rw.dropIfUnused(value);
}
