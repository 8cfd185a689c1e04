/** Removes nodes whose outputs nobody reads: ONNX Runtime would run them all the same. */
import type { Rewriter } from './rewriter.js';

/** Removes what no output of the graph needs. */
export function prune(rewriter: Rewriter): void {
  const { nodes } = rewriter.model.graph;
  // A node that went with one of its readers has no outputs left.
  for (const node of [...nodes].reverse()) if (node.outputs.length > 0) rewriter.eraseDead(node);
}
