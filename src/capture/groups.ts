/** The distinct inputs of projections that statistics are collected for, and where to read them. */
import { type Execution, executionOf } from '../analysis/execution.js';
import { lookedUp, type ModelAnalysis, type Projection } from '../analysis/projection.js';
import { planSegments, type Segment } from '../analysis/segments.js';
import { fail } from '../diagnostics.js';
import type { Model, Node, Value } from '../onnx/ir/graph.js';

export interface Group {
  readonly id: string;
  readonly projections: readonly Projection[];
  /** The value X [..., K] that is computed. */
  readonly input: Value;
  readonly k: number;
}

/** Groups of the projections that `scope` admits, in graph order. */
export function groupsOf(
  execution: Execution,
  analysis: ModelAnalysis,
  scope: (projection: Projection) => boolean,
): readonly Group[] {
  const inside = new Set(execution.nodes);
  const members = new Map<string, Projection[]>();
  for (const projection of analysis.projections.filter(scope)) {
    members.set(projection.group, [...(members.get(projection.group) ?? []), projection]);
  }
  return [...members].map(([id, projections]) => {
    const sites = projections.flatMap((projection) => projection.sites);
    const site = sites.find(({ node }) => inside.has(node));
    const k = projections[0]?.k ?? 0;
    if (site === undefined)
      return fail('unsupported-model', id, 'the input of the projection is inside a nested graph');
    return { id, projections, input: execution.resolve(site.input), k };
  });
}

export interface Plan {
  readonly execution: Execution;
  readonly groups: readonly Group[];
  readonly segments: readonly Segment[];
}

export interface PlanOptions {
  readonly scope?: (projection: Projection) => boolean;
  /** Bound on a segment's weights; default a little more than the largest layer, at least 32 MiB. */
  readonly maxWeightBytes?: number;
  /** More values that are wanted, such as the logits. */
  readonly targets?: readonly Value[];
}

/** Below this, cutting costs more than it saves. */
const SMALLEST_SEGMENT = 32 * 2 ** 20;
/** Norms and small tensors beside the projections of a layer. */
const SLACK = 1.1;

/** The segments of a model that give every group's input. */
export function planCapture(model: Model, analysis: ModelAnalysis, options: PlanOptions = {}): Plan {
  const anchors = new Map<Node, number>();
  for (const { nodes } of lookedUp(analysis)) for (const node of nodes) anchors.set(node, -1);
  for (const { sites, layer, role } of analysis.projections) {
    for (const { node } of sites) anchors.set(node, role === 'head' ? analysis.layers : layer);
  }
  const execution = executionOf(model.graph, new Set(anchors.keys()));
  const groups = groupsOf(execution, analysis, options.scope ?? (() => true));
  const targets = [...groups.map((group) => group.input), ...(options.targets ?? [])];
  const maxWeightBytes = options.maxWeightBytes ?? Math.max(SMALLEST_SEGMENT, SLACK * largestLayer(analysis));
  return { execution, groups, segments: planSegments(execution, { targets, maxWeightBytes, anchors }) };
}

function largestLayer(analysis: ModelAnalysis): number {
  const bytes = new Map<number, number>();
  for (const { layer, role, weight } of analysis.projections) {
    if (role !== 'head') bytes.set(layer, (bytes.get(layer) ?? 0) + weight.tensor.byteLength);
  }
  return Math.max(0, ...bytes.values());
}
