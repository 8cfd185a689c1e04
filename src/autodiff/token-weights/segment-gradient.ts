/** One segment of the float model backwards: from gradients by what it gives to those by what it takes, and by the outputs of projections. */
import type { Execution } from '../../analysis/execution.js';
import type { Projection } from '../../analysis/projection.js';
import type { Segment } from '../../analysis/segments.js';
import type { Model, Value } from '../../onnx/ir/graph.js';
import { adjointTerm } from '../adjoint.js';
import type { TrainingRequest } from '../training-graph.js';
import { meanSquares } from './mean-square.js';

/** A projection whose tokens are weighed, and the number of groups of its outputs. */
export interface Weighed {
  readonly projection: Projection;
  readonly groups: number;
}

export interface SegmentGradient {
  readonly model: Model;
  readonly execution: Execution;
  readonly segment: Segment;
  /** Projections of the segment. */
  readonly weighed: readonly Weighed[];
  /** What gradients are given for, with its dimensions. */
  readonly given: ReadonlyMap<Value, readonly number[]>;
  /** What gradients are asked for. */
  readonly carried: readonly Value[];
}

/** The output of a projection in a segment, or undefined where it does not run there. */
export const outputIn = ({ sites }: Projection, { nodes }: Segment): Value | undefined =>
  sites.find(({ node }) => nodes.includes(node))?.output;

/** The sum of what the segment gives times its gradients has the gradients that are looked for: of `carried`, then mean squares. */
export function segmentRequest({
  model,
  execution,
  segment,
  weighed,
  given,
  carried,
}: SegmentGradient): TrainingRequest {
  const { nodes, graphInputs, liveIn, index } = segment;
  return {
    model,
    name: `segment_${index}`,
    nodes,
    fed: [...graphInputs, ...liveIn],
    parameters: [],
    resolve: execution.resolve,
    build: (b, copyOf) => {
      const outputs = new Map(
        weighed.map((each) => [copyOf(outputIn(each.projection, segment) as Value), each] as const),
      );
      const terms = [...given].map(([value, dims]) => adjointTerm(b, value, copyOf(value), dims));
      return {
        loss: terms.reduce((sum, term) => b.op('Add', [sum, term])),
        wrt: [...carried.map(copyOf), ...outputs.keys()],
        reduce: (value, gradient) => {
          const own = outputs.get(value);
          return own && meanSquares(b, gradient, own.projection.n, own.groups);
        },
      };
    },
  };
}
