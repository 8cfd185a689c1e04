/** Nodes that a runtime computes once, when a session is made. */
import { type Model, type Node, nodesOf, type Value } from '../onnx/ir/graph.js';

/** Operators that are run although their inputs are constant. */
const RUN: ReadonlySet<string> = new Set(['DequantizeLinear', 'QuantizeLinear', 'If', 'Loop', 'Scan']);

/** Nodes that read constants alone, in graph order. */
export function constantNodes(model: Model): ReadonlySet<Node> {
  const found = new Set<Node>();
  const isConstant = (value: Value | undefined): boolean => {
    if (value === undefined) return true;
    if (value.initializer !== undefined) return !value.isInput;
    return value.producer !== undefined && found.has(value.producer);
  };
  for (const node of nodesOf(model.graph)) {
    if (!RUN.has(node.op) && node.inputs.length > 0 && node.inputs.every(isConstant)) found.add(node);
    else if (node.op === 'Constant') found.add(node);
  }
  return found;
}
