/** Angles of rotations: what a sine or cosine is computed from needs the digits of float32. */
import { type Model, type Node, nodesOf, subgraphsOf, type Value } from '../onnx/ir/graph.js';

/** Every value that a sine or cosine is computed from, through any nodes and the graphs they hold. */
export function anglesOf(model: Model): ReadonlySet<Value> {
  const found = new Set<Value>();
  const open: (Value | undefined)[] = [];
  const enter = (node: Node): void => {
    open.push(...node.inputs, ...subgraphsOf(node).flatMap((graph) => graph.outputs));
  };
  for (const node of nodesOf(model.graph)) if (node.domain === '' && /^(Sin|Cos)$/.test(node.op)) enter(node);
  while (open.length > 0) {
    const value = open.pop();
    if (value === undefined || found.has(value)) continue;
    found.add(value);
    if (value.producer !== undefined) enter(value.producer);
  }
  return found;
}
