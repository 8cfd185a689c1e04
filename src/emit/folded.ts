/**
 * Nodes that a runtime is to compute once, when a session is made: those that make the codes, scales and tables of quantized
 * operators. Left in the graph they are computed at every run.
 */
import { constantNodes } from '../analysis/constant-nodes.js';
import { type Model, type Node, nodesOf, type Value } from '../onnx/ir/graph.js';
import { PROJECTION_KEY } from './sites.js';

/** Inputs of quantized operators that kernels want constant. */
const OPERANDS: Readonly<Record<string, readonly number[]>> = {
  'com.microsoft::MatMulNBits': [1, 2, 3],
  'com.microsoft::GatherBlockQuantized': [0, 2, 3],
};

/** What a node is to a session. */
export type Folding =
  /** Makes an operand of a quantized operator, or belongs to a quantized projection: never left. */
  | 'operand'
  /** Depends on constants only: worth folding when its output is large. */
  | 'constant';

/** The nodes with names that are to be folded, by name; what only a DequantizeLinear feeds is computed at run time by design. */
export function foldedNodes(model: Model): ReadonlyMap<string, Folding> {
  const constants = constantNodes(model);
  const found = new Map<string, Folding>();
  for (const node of constants) found.set(node.name, node.metadata.has(PROJECTION_KEY) ? 'operand' : 'constant');
  for (const node of nodesOf(model.graph)) {
    const slots = OPERANDS[`${node.domain}::${node.op}`] ?? [];
    for (const slot of slots) for (const maker of makersOf(node.inputs[slot])) found.set(maker.name, 'operand');
  }
  found.delete('');
  return found;
}

/** Every node above a value. */
function makersOf(value: Value | undefined): ReadonlySet<Node> {
  const found = new Set<Node>();
  const open = [value];
  while (open.length > 0) {
    const maker = open.pop()?.producer;
    if (maker === undefined || found.has(maker)) continue;
    found.add(maker);
    open.push(...maker.inputs);
  }
  return found;
}
