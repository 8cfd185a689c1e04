/**
 * The nodes that run, in one flat list. A merged decoder hides everything in the branches of one `If`; for reading activations
 * the branch that starts from an empty cache stands in the place of that node.
 */
import { fail } from '../diagnostics.js';
import { type Graph, graphsOf, isOp, type Node, nodesOf, placeOf, subgraphsOf, type Value } from '../onnx/ir/graph.js';

export interface Execution {
  /** In a topological order; their values keep their identity, names are unique among them. */
  readonly nodes: readonly Node[];
  /** The value that is really computed: follows the outputs of an inlined `If` into the branch taken. */
  resolve(value: Value): Value;
}

/**
 * The execution of a main graph. `anchors` are nodes that must be in the list: an `If` that holds one of them is replaced by
 * its branch without past; every other `If` stays one node.
 */
export function executionOf(graph: Graph, anchors: ReadonlySet<Node> = new Set()): Execution {
  const nodes: Node[] = [];
  const alias = new Map<Value, Value>();
  const list = (each: Graph): void => {
    for (const node of each.nodes) {
      const branch = branchToInline(node, anchors);
      if (branch === undefined) {
        nodes.push(node);
        continue;
      }
      list(branch);
      branch.outputs.forEach((inner, slot) => {
        const outer = node.outputs[slot];
        if (outer !== undefined) alias.set(outer, inner);
      });
    }
  };
  list(graph);
  const resolve = (value: Value): Value => {
    let found = value;
    for (let next = alias.get(found); next !== undefined; next = alias.get(found)) found = next;
    return found;
  };
  return { nodes, resolve };
}

/** Every value a node reads: its inputs, and the outer values that its nested graphs capture. */
export function inputsOf(node: Node): readonly Value[] {
  const direct = node.inputs.filter((value) => value !== undefined);
  const nested = subgraphsOf(node);
  if (nested.length === 0) return direct;
  const inside = new Set(nested.flatMap((graph) => [...graphsOf(graph)]));
  const captured = nested.flatMap((graph) => [
    ...[...nodesOf(graph)].flatMap((inner) => inner.inputs.filter((value) => value !== undefined)),
    ...graph.outputs,
  ]);
  return [...new Set([...direct, ...captured.filter((value) => !inside.has(value.graph))])];
}

/** The branch of an `If` that holds anchors, chosen to start from an empty cache; undefined when the node stays. */
function branchToInline(node: Node, anchors: ReadonlySet<Node>): Graph | undefined {
  if (!isOp(node, 'If')) return undefined;
  const branches = subgraphsOf(node).filter((branch) => [...nodesOf(branch)].some((inner) => anchors.has(inner)));
  if (branches.length === 0) return undefined;
  const ranked = branches.map((branch) => ({ branch, inputs: graphInputsRead(branch) }));
  ranked.sort((a, b) => a.inputs - b.inputs);
  return ranked[0]?.branch ?? fail('unsupported-model', placeOf(node), 'an If has no branch to read activations from');
}

/** How many inputs of the main graph a branch reads: the one with the cache reads the past as well. */
function graphInputsRead(branch: Graph): number {
  const read = new Set([...nodesOf(branch)].flatMap((node) => node.inputs.filter((value) => value?.isInput)));
  return read.size;
}
