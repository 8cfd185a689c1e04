/** Where to cut: few values across a cut, no cut inside a layer without need, weights of a segment within a bound. */
import type { Node } from '../onnx/ir/graph.js';
import { isShape, type Liveness, type LivenessOptions, weightBytesOf } from './liveness.js';

export interface CutOptions extends LivenessOptions {
  /** Largest sum of weight bytes in a segment; a single node with more stands alone. */
  readonly maxWeightBytes: number;
}

/** Weights below this share of the bound (norms, tables) do not count towards it. */
const SMALL_SHARE = 1 / 64;

/** Number of activations alive between heavy node i - 1 and heavy node i, for every i. */
function liveCounts(liveness: Liveness): Int32Array {
  const steps = new Int32Array(liveness.heavy.length + 2);
  liveness.heavy.forEach((node, made) => {
    for (const output of node.outputs) {
      const last = output === undefined || isShape(output) ? -1 : (liveness.lastNeed.get(output) ?? -1);
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
export function chooseCuts(liveness: Liveness, options: CutOptions): readonly number[] {
  const count = liveness.heavy.length;
  const weights = liveness.heavy.map((node) => countedBytes(liveness, node, options.maxWeightBytes));
  const live = liveCounts(liveness);
  const inside = insideLayers(liveness, options);
  const best = new Float64Array(count + 1);
  const from = new Int32Array(count + 1);
  const reach = startsThatFit(weights, options.maxWeightBytes);
  for (let end = 1; end <= count; end++) {
    const start = cheapest(best, reach[end] ?? 0, end);
    from[end] = start;
    best[end] = (best[start] ?? 0) + 1 + (live[end] ?? 0) ** 2 + (inside[end] ? 0.5 : 0);
  }
  const cuts: number[] = [];
  for (let end = count; end > 0; end = from[end] ?? 0) cuts.push(from[end] ?? 0);
  return cuts.reverse();
}

/** The first of the least numbers in [from, to). */
function cheapest(costs: Float64Array, from: number, to: number): number {
  let least = from;
  for (let at = from + 1; at < to; at++) if ((costs[at] ?? 0) < (costs[least] ?? 0)) least = at;
  return least;
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

/** Weight bytes behind the constant inputs of a heavy node, as far as they count. */
function countedBytes(liveness: Liveness, node: Node, bound: number): number {
  const bytes = weightBytesOf(liveness, [node]);
  return bytes < bound * SMALL_SHARE ? 0 : bytes;
}

/** True at every boundary whose nearest anchors on both sides belong to the same layer. */
function insideLayers(liveness: Liveness, options: CutOptions): readonly boolean[] {
  const count = liveness.heavy.length;
  const next: (number | undefined)[] = new Array(count + 1).fill(undefined);
  for (let at = count - 1; at >= 0; at--) next[at] = options.anchors.get(liveness.heavy[at] as Node) ?? next[at + 1];
  let before: number | undefined;
  return next.map((after, at) => {
    if (at > 0) before = options.anchors.get(liveness.heavy[at - 1] as Node) ?? before;
    return before !== undefined && before === after;
  });
}
