/**
 * How much each token means for the loss: the mean square of the gradient of the loss by the outputs of a projection, for labels that are
 * drawn from the model's own output. One pass forward over the segments of the float model, one back; memory holds one segment, and what
 * lies between segments goes to files where it does not fit.
 */
import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { fixedShapeOf } from '../../analysis/fixed-shape.js';
import type { ModelAnalysis, Projection } from '../../analysis/projection.js';
import { isRuntimeFailure } from '../../diagnostics.js';
import type { Machine } from '../../files/machine.js';
import { temporaryFolder } from '../../files/temporary.js';
import type { Model } from '../../onnx/ir/graph.js';
import type { DecoderHints } from '../../runtime/hints.js';
import type { Runtime } from '../../runtime/runtime.js';
import type { Window } from '../../text/index.js';
import { filledBatches } from './filled-batches.js';
import { FloatPass } from './float-pass.js';
import type { Weighed } from './segment-gradient.js';

export interface TokenWeightsRequest {
  /** A decoder that computes in float32. */
  readonly model: Model;
  readonly analysis: ModelAnalysis;
  readonly windows: readonly Window[];
  /** The projections, and into how many groups the outputs of each are divided; the head's stay together. */
  readonly projections: readonly Projection[];
  readonly groups: number;
  /** A number in [0, 1) for every token, which draws its label. */
  readonly draws: Float32Array;
  readonly runtime: Runtime;
  readonly machine: Machine;
  readonly hints?: DecoderHints;
  /** Bound on the weights of a segment; default a little more than the largest layer. */
  readonly maxWeightBytes?: number;
  readonly signal?: AbortSignal;
  /** Told the share of the work that is done. */
  readonly onProgress?: (done: number) => void;
  /** Takes the weights of a projection, [tokens, groups], in the order of the text. */
  readonly save: (projection: Projection, weights: Float32Array) => void;
}

/** Tokens in a batch; their number does not depend on the memory, because sums of other batches differ in the last digits. */
const TOKENS = 1024;

/** Weighs the tokens of all windows. A model that cannot run several windows at once is run window by window. */
export async function weighTokens(request: TokenWeightsRequest): Promise<void> {
  const { model, windows } = request;
  const { batch } = fixedShapeOf(model);
  const longest = Math.max(...windows.map((window) => window.length));
  const size = batch ?? Math.max(1, Math.floor(TOKENS / longest));
  try {
    await weighIn(request, size);
  } catch (error) {
    if (!isRuntimeFailure(error) || batch !== undefined || size === 1) throw error;
    await weighIn(request, 1);
  }
}

async function weighIn(request: TokenWeightsRequest, size: number): Promise<void> {
  const folder = temporaryFolder('training', request.machine.temporary);
  const weighed = request.projections.map(
    (projection): Weighed => ({ projection, groups: projection.role === 'head' ? 1 : request.groups }),
  );
  const pass = new FloatPass(request, filledBatches(request.windows, size), join(folder, 'pass'));
  try {
    await pass.forward();
    await pass.head(weighed.filter(({ projection }) => projection.role === 'head'));
    await pass.backward(weighed.filter(({ projection }) => projection.role !== 'head'));
  } finally {
    await pass.close();
    rmSync(folder, { recursive: true, force: true });
  }
}
