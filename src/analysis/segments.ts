/**
 * Segments: the graph cut into contiguous topological ranges where few values live, so that calibration holds the weights of
 * one range at a time. No architecture is named: the residual stream is found as the place where the fewest values cross.
 *
 * Three kinds of nodes. *constant*: computed from initializers alone. *light*: computed from graph inputs, constants and shapes
 * (masks, rotary tables, position ids); both are repeated in every segment that needs them, so they never cross a cut. *heavy*:
 * everything behind the token embedding or a projection; only their outputs are carried. A Shape of a heavy value is carried
 * (a few integers), and what is computed from it is light again.
 */
import { isOp, type Node, type Value } from '../ir/graph.js';
import { type Execution, inputsOf } from './execution.js';

export interface Segment {
  readonly index: number;
  /** In order, including the constant and light nodes that are repeated here. */
  readonly nodes: readonly Node[];
  /** Graph inputs that are read here. */
  readonly graphInputs: readonly Value[];
  /** Values made by earlier segments and read here. */
  readonly liveIn: readonly Value[];
  /** Values made here and read by later segments. */
  readonly liveOut: readonly Value[];
  /** Carried values that no later segment reads: free to drop once this segment has run. */
  readonly retired: readonly Value[];
  /** The asked-for values that are made here. */
  readonly targets: readonly Value[];
  /** Bytes of the distinct initializers that the nodes read. */
  readonly weightBytes: number;
}

export interface SegmentOptions {
  /** The values that are wanted; nodes that none of them depends on are left out. */
  readonly targets: readonly Value[];
  /** Largest sum of weight bytes in a segment; a single node with more stands alone. */
  readonly maxWeightBytes: number;
  /** Nodes that are heavy whatever they read, with the number of their layer: embedding lookups and projections. */
  readonly anchors: ReadonlyMap<Node, number>;
}

/** Weights below this share of the bound (norms, tables) do not count towards it. */
const SMALL_SHARE = 1 / 64;

/** Cuts an execution into segments that compute every target exactly once. */
export function planSegments(execution: Execution, options: SegmentOptions): readonly Segment[] {
  const flow = analyseFlow(execution, options);
  if (flow.heavy.length === 0) return [segmentOf(flow, options, 0, 0, 0)];
  const cuts = chooseCuts(flow, options);
  return cuts.map((start, index) => segmentOf(flow, options, index, start, cuts[index + 1] ?? flow.heavy.length));
}

/** Where values are made and last needed, counted in heavy nodes. */
interface Flow {
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

function analyseFlow(execution: Execution, options: SegmentOptions): Flow {
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

function isShape(value: Value): boolean {
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

/** Number of activations alive between heavy node i - 1 and heavy node i, for every i. */
function liveCounts(flow: Flow): Int32Array {
  const steps = new Int32Array(flow.heavy.length + 2);
  flow.heavy.forEach((node, made) => {
    for (const output of node.outputs) {
      const last = output === undefined || isShape(output) ? -1 : (flow.lastNeed.get(output) ?? -1);
      if (last <= made) continue;
      steps[made + 1] = (steps[made + 1] ?? 0) + 1;
      steps[last + 1] = (steps[last + 1] ?? 0) - 1;
    }
  });
  let live = 0;
  return steps.map((step) => (live += step));
}

/**
 * The starts of the segments: the cheapest cuts such that the weights between two of them stay within the bound.
 * A cut costs 1 + (live values)², and half a unit more inside a layer. Dynamic programming over the heavy nodes; looking back
 * ends where the weights no longer fit, after about one layer.
 */
function chooseCuts(flow: Flow, options: SegmentOptions): readonly number[] {
  const count = flow.heavy.length;
  const weights = flow.heavy.map((node) => countedBytes(flow, node, options.maxWeightBytes));
  const live = liveCounts(flow);
  const inside = insideLayers(flow, options);
  const best = new Float64Array(count + 1);
  const from = new Int32Array(count + 1);
  const reach = startsThatFit(weights, options.maxWeightBytes);
  for (let end = 1; end <= count; end++) {
    const first = reach[end] ?? 0;
    let start = first;
    for (let at = first + 1; at < end; at++) if ((best[at] ?? 0) < (best[start] ?? 0)) start = at;
    from[end] = start;
    best[end] = (best[start] ?? 0) + 1 + (live[end] ?? 0) ** 2 + (inside[end] ? 0.5 : 0);
  }
  const cuts: number[] = [];
  for (let end = count; end > 0; end = from[end] ?? 0) cuts.push(from[end] ?? 0);
  return cuts.reverse();
}

/** For every end, the first start such that the weights of [start, end) are within the bound or a single one. */
function startsThatFit(weights: readonly number[], bound: number): Int32Array {
  const reach = new Int32Array(weights.length + 1);
  let start = 0;
  let total = 0;
  let counted = 0;
  weights.forEach((bytes, at) => {
    total += bytes;
    counted += bytes > 0 ? 1 : 0;
    for (; total > bound && counted > 1; start++) {
      total -= weights[start] ?? 0;
      counted -= (weights[start] ?? 0) > 0 ? 1 : 0;
    }
    reach[at + 1] = start;
  });
  return reach;
}

const sum = (numbers: readonly number[]): number => numbers.reduce((total, each) => total + each, 0);

/** Weight bytes behind the constant inputs of a heavy node, as far as they count. */
function countedBytes(flow: Flow, node: Node, bound: number): number {
  const bytes = sum(weightsBehind(flow, [node]).map((value) => value.initializer?.byteLength ?? 0));
  return bytes < bound * SMALL_SHARE ? 0 : bytes;
}

/** The distinct initializers that nodes read, directly or through constant nodes. */
function weightsBehind(flow: Flow, nodes: readonly Node[]): readonly Value[] {
  const found = new Set<Value>();
  const open = [...nodes];
  for (let node = open.pop(); node !== undefined; node = open.pop()) {
    for (const value of inputsOf(node).map(flow.execution.resolve)) {
      if (value.initializer !== undefined) found.add(value);
      else if (value.producer !== undefined && flow.constants.has(value.producer)) open.push(value.producer);
    }
  }
  return [...found];
}

/** True at every boundary whose nearest anchors on both sides belong to the same layer. */
function insideLayers(flow: Flow, options: SegmentOptions): readonly boolean[] {
  const count = flow.heavy.length;
  const next: (number | undefined)[] = new Array(count + 1).fill(undefined);
  for (let at = count - 1; at >= 0; at--) next[at] = options.anchors.get(flow.heavy[at] as Node) ?? next[at + 1];
  let before: number | undefined;
  return next.map((after, at) => {
    if (at > 0) before = options.anchors.get(flow.heavy[at - 1] as Node) ?? before;
    return before !== undefined && before === after;
  });
}

function segmentOf(flow: Flow, options: SegmentOptions, index: number, start: number, end: number): Segment {
  const isLast = end === flow.heavy.length;
  const own = flow.heavy.slice(start, end);
  const targets = [...new Set(options.targets.map(flow.execution.resolve))].filter((value) => {
    const ready = Math.max(flow.ready(value), 0);
    return ready >= start && (ready < end || isLast);
  });
  const nodes = new Set(own);
  const graphInputs = new Set<Value>();
  const liveIn = new Set<Value>();
  const open = [...own.flatMap(inputsOf), ...targets];
  for (let next = open.pop(); next !== undefined; next = open.pop()) {
    const value = flow.execution.resolve(next);
    if (value.isInput && value.initializer === undefined) graphInputs.add(value);
    if (value.producer === undefined || nodes.has(value.producer)) continue;
    if (flow.position.has(value.producer)) {
      liveIn.add(value);
    } else {
      nodes.add(value.producer);
      open.push(...inputsOf(value.producer));
    }
  }
  const lastNeed = (value: Value): number => flow.lastNeed.get(value) ?? -1;
  const liveOut = own.flatMap((node) => node.outputs.filter((value) => value !== undefined && lastNeed(value) >= end));
  const ordered = [...nodes].sort((a, b) => (flow.order.get(a) ?? 0) - (flow.order.get(b) ?? 0));
  return {
    index,
    nodes: ordered,
    graphInputs: [...graphInputs],
    liveIn: [...liveIn],
    liveOut: liveOut.filter((value) => value !== undefined),
    retired: [...liveIn].filter((value) => lastNeed(value) < end),
    targets,
    weightBytes: sum(weightsBehind(flow, ordered).map((value) => value.initializer?.byteLength ?? 0)),
  };
}
