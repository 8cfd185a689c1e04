/** What a run of a segment is asked for, and what its model has to compute for it. */
import type { Projection } from '../analysis/projection.js';
import { fail } from '../diagnostics.js';
import type { Value } from '../onnx/ir/graph.js';
import type { Tensor } from '../onnx/ir/tensor.js';
import type { Feeds, HostTensor, Outputs } from '../runtime/runtime.js';
import type { Batch } from '../text/index.js';
import { denseTensor } from './dense-tensor.js';
import type { Group } from './groups.js';
import type { Edge, SegmentModel, SegmentRequest } from './segment-model.js';
import type { Stream } from './stream.js';

/** Ŵ [N, K] row-major in place of a projection's weight; undefined keeps the weight. */
export type Override = (projection: Projection) => Float32Array | undefined;

export interface RunRequest {
  /** Groups to collect statistics for; default all of the segment. */
  readonly groups?: readonly string[];
  /** Weights to use instead of the model's. */
  readonly override?: Override;
  /** Carry the stream over this segment; default true. Without, the segment can be run again. */
  readonly advance?: boolean;
  /**
   * The float stream at the same segment: also collects Xᵀ(X_float - X). It runs with the model's own weights and goes on when this
   * stream does.
   */
  readonly reference?: Stream;
  /** Values of the segment to hand out, batch by batch. */
  readonly extra?: readonly Value[];
  readonly onBatch?: (batch: Batch, extra: ReadonlyMap<Value, HostTensor>) => void;
}

/** What a request changes in the model of a segment. */
export type ModelRequest = Pick<SegmentRequest, 'grams' | 'extra' | 'carry' | 'replaced'>;

/** For groups and projections of the segment. */
export function modelRequest(
  groups: readonly Group[],
  projections: readonly Projection[],
  request: RunRequest,
  ownWeights = false,
): ModelRequest {
  const asked = groups.filter((group) => request.groups?.includes(group.id) ?? true);
  const change = request.reference !== undefined;
  const replaced = new Map<Value, Tensor>();
  for (const projection of request.override === undefined ? [] : projections) {
    const data = request.override?.(projection);
    if (data !== undefined) replaced.set(projection.weight.source, denseTensor(projection, data));
  }
  return {
    grams: asked.map((group) => ({ group: group.id, input: group.input, k: group.k, change, ownWeights })),
    extra: request.extra ?? [],
    carry: request.advance !== false,
    replaced,
  };
}

/** The float side: the inputs of the groups as they are. */
export function referenceRequest(groups: readonly Group[], request: RunRequest): ModelRequest {
  const { grams, carry } = modelRequest(groups, [], request);
  return { grams: [], extra: grams.map((gram) => gram.input), carry, replaced: new Map() };
}

/** Outputs of a session by the values of the original that they are. */
export function pick(edges: readonly Edge[], outputs: Outputs): ReadonlyMap<Value, HostTensor> {
  return new Map(
    edges.map(({ name, value }) => [
      value,
      outputs[name] ?? fail('runtime-failed', name, 'the runtime left an output out'),
    ]),
  );
}

/** X_float of the reference run, as rows. */
export function floatFeeds(model: SegmentModel, seen: ReadonlyMap<Value, HostTensor>): Feeds {
  return Object.fromEntries(
    model.grams.map(({ k, change, value }) => {
      const { dtype, data } = seen.get(value) as HostTensor;
      return [change?.input ?? '', { dtype, data, dims: [data.length / k, k] }];
    }),
  );
}
