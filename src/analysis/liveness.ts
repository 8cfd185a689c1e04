/** Which nodes of an execution must be carried from segment to segment, and for how long their outputs live. */
import { isOp, type Node, type Value } from '../onnx/ir/graph.js';
import { type Execution, inputsOf } from './execution.js';

export interface LivenessOptions {
  /** The values that are wanted; nodes that none of them depends on are left out. */
  readonly targets: readonly Value[];
  /** Nodes that are heavy whatever they read, with the number of their layer: embedding lookups and projections. */
  readonly anchors: ReadonlyMap<Node, number>;
}

/** Where values are made and last needed, counted in heavy nodes. */
export interface Liveness {
  readonly execution: Execution;
  /** Position in the execution, to list nodes in order. */
  readonly order: ReadonlyMap<Node, number>;
  readonly heavy: readonly Node[];
  /** Position in `heavy`. */
  readonly position: ReadonlyMap<Node, number>;
  readonly constants: ReadonlySet<Node>;
  /** The last heavy node that needs a value, directly or through light nodes; absent when none does. */
  readonly lastNeed: ReadonlyMap<Value, number>;
  /** The heavy node after which a value can be computed; -1 when it needs none. */
  readonly ready: (value: Value) => number;
}

export function analyseLiveness(execution: Execution, options: LivenessOptions): Liveness {
  const needed = ancestors(execution, options.targets);
  const nodes = execution.nodes.filter((node) => needed.has(node));
  const order = new Map(nodes.map((node, at) => [node, at]));
  const heavy: Node[] = [];
  const position = new Map<Node, number>();
  const constants = new Set<Node>();
  const readyAt = new Map<Value, number>();
  const ready = (value: Value): number => readyAt.get(execution.resolve(value)) ?? -1;
  for (const node of nodes) {
    const inputs = inputsOf(node).map(execution.resolve);
    if (!options.anchors.has(node) && inputs.every((value) => isConstant(value, constants))) constants.add(node);
    if (options.anchors.has(node) || !inputs.every((value) => isLight(value, position))) {
      position.set(node, heavy.length);
      heavy.push(node);
    }
    const at = position.get(node) ?? Math.max(-1, ...inputs.map(ready));
    for (const output of node.outputs) if (output !== undefined) readyAt.set(output, at);
  }
  const wanted = new Map(options.targets.map((target) => [execution.resolve(target), ready(target)]));
  return {
    execution,
    order,
    heavy,
    position,
    constants,
    lastNeed: lastNeeds(execution, nodes, position, wanted),
    ready,
  };
}

/** Every node that one of the values depends on. */
function ancestors(execution: Execution, values: readonly Value[]): ReadonlySet<Node> {
  const found = new Set<Node>();
  const open = [...values];
  for (let value = open.pop(); value !== undefined; value = open.pop()) {
    const producer = execution.resolve(value).producer;
    if (producer === undefined || found.has(producer)) continue;
    found.add(producer);
    open.push(...inputsOf(producer));
  }
  return found;
}

function isConstant(value: Value, constants: ReadonlySet<Node>): boolean {
  if (value.producer !== undefined) return constants.has(value.producer);
  return value.initializer !== undefined;
}

/** True for values that can be made again anywhere at little cost, and for the few integers of a shape. */
function isLight(value: Value, heavy: ReadonlyMap<Node, number>): boolean {
  return value.producer === undefined || !heavy.has(value.producer) || isShape(value);
}

export function isShape(value: Value): boolean {
  return isOp(value.producer, 'Shape') || isOp(value.producer, 'Size');
}

/**
 * Walks backwards, so that the consumers of a light value are known before the value itself. `wanted` holds the targets with
 * the heavy node after which each is made: a light target needs its sources until there.
 */
function lastNeeds(
  execution: Execution,
  nodes: readonly Node[],
  position: ReadonlyMap<Node, number>,
  wanted: ReadonlyMap<Value, number>,
): ReadonlyMap<Value, number> {
  const last = new Map<Value, number>();
  const repeatedFor = (value: Value): number => Math.max(last.get(value) ?? -1, wanted.get(value) ?? -1);
  for (const node of nodes.toReversed()) {
    const outputs = node.outputs.filter((value) => value !== undefined);
    const at = position.get(node) ?? Math.max(-1, ...outputs.map(repeatedFor));
    for (const input of inputsOf(node).map(execution.resolve)) last.set(input, Math.max(at, last.get(input) ?? -1));
  }
  return last;
}

/** The distinct initializers that nodes read, directly or through constant nodes. */
function weightsBehind(liveness: Liveness, nodes: readonly Node[]): readonly Value[] {
  const found = new Set<Value>();
  const open = [...nodes];
  for (let node = open.pop(); node !== undefined; node = open.pop()) {
    for (const value of inputsOf(node).map(liveness.execution.resolve)) {
      if (value.initializer !== undefined) found.add(value);
      else if (value.producer !== undefined && liveness.constants.has(value.producer)) open.push(value.producer);
    }
  }
  return [...found];
}

/** Bytes of the distinct initializers that nodes read. */
export function weightBytesOf(liveness: Liveness, nodes: readonly Node[]): number {
  return weightsBehind(liveness, nodes).reduce((total, { initializer }) => total + (initializer?.byteLength ?? 0), 0);
}
