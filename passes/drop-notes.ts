/**
 * What exporters note for people who debug them.
 *
 * Matches: metadata of graphs, nodes and values: stack traces with the paths of a machine, class names, names in other tools.
 * Becomes: nothing. Metadata of the model itself (licence, author) stays, and so does what this compiler needs to read its sets.
 * Why it is sound: metadata has no meaning for a runtime. PyTorch's exporter writes 3.3 MB of it for Gemma 3 270M.
 * Refuses when: never.
 */
import { type Graph, graphsOf, type Model, type Node, type Value } from '../src/onnx/ir/graph.js';
import { definePass, type NoOptions, noOptions, type Pass } from '../src/onnx/rewrite/define-pass.js';

export const dropNotes: Pass<NoOptions> = definePass({
  name: 'drop-notes',
  summary: 'Removes debugging metadata of exporters, such as stack traces and class names.',
  options: noOptions,
  keeps: 'bits',
  run(rw) {
    for (const target of annotated(rw.model)) rw.dropMetadata(target, (key) => !key.startsWith('matquant.'));
  },
});

/** Everything that may carry notes. */
export function* annotated(model: Model): Generator<Graph | Node | Value> {
  for (const graph of graphsOf(model.graph)) {
    yield graph;
    yield* graph.inputs;
    yield* graph.initializers;
    for (const node of graph.nodes) {
      yield node;
      for (const value of node.outputs) if (value !== undefined) yield value;
    }
  }
}
