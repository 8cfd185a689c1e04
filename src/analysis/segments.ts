/**
 * Segments: the graph cut into contiguous topological ranges where few values live, so that calibration holds the weights of
 * one range at a time. No architecture is named: the residual stream is found as the place where the fewest values cross.
 *
 * Three kinds of nodes. *constant*: computed from initializers alone. *light*: computed from graph inputs, constants and shapes
 * (masks, rotary tables, position ids); both are repeated in every segment that needs them, so they never cross a cut. *heavy*:
 * everything behind the token embedding or a projection; only their outputs are carried. A Shape of a heavy value is carried
 * (a few integers), and what is computed from it is light again.
 */
import type { Node, Value } from '../onnx/ir/graph.js';
import { type Execution, inputsOf } from './execution.js';
import { analyseLiveness, type Liveness, weightBytesOf } from './liveness.js';
import { type CutOptions, chooseCuts } from './segment-cuts.js';

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

/** What is wanted and how many bytes of weights a segment may hold. */
export type SegmentOptions = CutOptions;

/** Cuts an execution into segments that compute every target exactly once. */
export function planSegments(execution: Execution, options: SegmentOptions): readonly Segment[] {
  const liveness = analyseLiveness(execution, options);
  if (liveness.heavy.length === 0) return [segmentOf(liveness, options, 0, 0, 0)];
  const cuts = chooseCuts(liveness, options);
  return cuts.map((start, index) =>
    segmentOf(liveness, options, index, start, cuts[index + 1] ?? liveness.heavy.length),
  );
}

function segmentOf(liveness: Liveness, options: SegmentOptions, index: number, start: number, end: number): Segment {
  const isLast = end === liveness.heavy.length;
  const own = liveness.heavy.slice(start, end);
  const targets = [...new Set(options.targets.map(liveness.execution.resolve))].filter((value) => {
    const ready = Math.max(liveness.ready(value), 0);
    return ready >= start && (ready < end || isLast);
  });
  const nodes = new Set(own);
  const graphInputs = new Set<Value>();
  const liveIn = new Set<Value>();
  const open = [...own.flatMap(inputsOf), ...targets];
  for (let next = open.pop(); next !== undefined; next = open.pop()) {
    const value = liveness.execution.resolve(next);
    if (value.isInput && value.initializer === undefined) graphInputs.add(value);
    if (value.producer === undefined || nodes.has(value.producer)) continue;
    if (liveness.position.has(value.producer)) {
      liveIn.add(value);
    } else {
      nodes.add(value.producer);
      open.push(...inputsOf(value.producer));
    }
  }
  const lastNeed = (value: Value): number => liveness.lastNeed.get(value) ?? -1;
  const liveOut = own.flatMap((node) => node.outputs.filter((value) => value !== undefined && lastNeed(value) >= end));
  const ordered = [...nodes].sort((a, b) => (liveness.order.get(a) ?? 0) - (liveness.order.get(b) ?? 0));
  return {
    index,
    nodes: ordered,
    graphInputs: [...graphInputs],
    liveIn: [...liveIn],
    liveOut: liveOut.filter((value) => value !== undefined),
    retired: [...liveIn].filter((value) => lastNeed(value) < end),
    targets,
    weightBytes: weightBytesOf(liveness, ordered),
  };
}
