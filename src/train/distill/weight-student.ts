/**
 * Students whose weights learn: quantization-aware training (MatQuant eq. 2 and 7). A weight is an input of the training graph, is
 * rounded to the codes of its parent and sliced there, and rounding lets gradients through.
 */
import type { Projection } from '../../analysis/projection.js';
import type { Value } from '../../onnx/ir/graph.js';
import type { GraphBuilder } from '../../onnx/rewrite/builder.js';
import { transpose } from '../../quant/pack.js';
import type { Precision } from '../../quant/precision.js';
import { type Feeds, floats } from '../../runtime/runtime.js';
import { clippedParent, decodeSlice, sliceParent, splitBlocks } from '../blocks/fake-quant.js';
import { type StudentPlan, shapeOf } from '../blocks/learnables.js';

export interface WeightStudent {
  readonly projection: Projection;
  readonly learns: true;
  /** The precision that this student computes at. */
  readonly bits: Precision;
  readonly plan: StudentPlan;
}

const nameOf = ({ id }: Projection): string => `${id}/weight`;

/** Dimensions as the model stores them. */
const dimsOf = ({ n, k, weight }: Projection): readonly number[] => (weight.layout === 'NK' ? [n, k] : [k, n]);

/** Adds the weight as an input, and what the sliced codes make of it; σ(20) is 1, so ranges are those of the weights. */
export function placeWeight(
  b: GraphBuilder,
  { projection, bits, plan }: WeightStudent,
): { readonly weight: Value; readonly input: Value } {
  const shape = shapeOf(projection, plan);
  const input = b.input(nameOf(projection), 'float32', dimsOf(projection));
  const range = { upper: b.scalar(20), lower: b.scalar(20) };
  const grid = { bits: plan.parent, symmetric: plan.symmetric };
  const parent = clippedParent(b, shape, splitBlocks(b, shape, input), range, grid);
  return { weight: decodeSlice(b, shape, sliceParent(b, parent, plan.slice, bits)), input };
}

export const weightFeeds = (projection: Projection, weight: Float32Array): Feeds => ({
  [nameOf(projection)]: floats(weight, dimsOf(projection)),
});

/** Weights [n, k], whatever the model stores. */
export const rowsOf = ({ n, k, weight }: Projection, stored: Float32Array): Float32Array =>
  weight.layout === 'NK' ? stored : transpose(stored, k, n);
