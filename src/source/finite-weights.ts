/** Refuses weights that are NaN or infinite before hours are spent on them. */
import { notFiniteIn } from '../analysis/not-finite.js';
import { lookedUp } from '../analysis/projection.js';
import { fail } from '../diagnostics.js';
import type { Context } from '../log.js';
import type { Tensor } from '../onnx/ir/tensor.js';
import type { Source } from './source.js';

/** Elements from which a vector is taken for a weight of a norm or a bias: masks of one row are shorter or not vectors. */
const SHORTEST = 16;

/**
 * Reads the projections, the embedding and the vectors of a model once. Error code `not-finite`. `inspect` does without this: it reads no
 * weights.
 */
export function requireFinite({ model, analysis }: Source, { signal }: Context): void {
  const weights = new Set([...analysis.projections, ...lookedUp(analysis)].map(({ weight }) => weight.tensor.storage));
  const isWeight = (tensor: Tensor): boolean =>
    weights.has(tensor.storage) || (tensor.shape.length === 1 && (tensor.shape[0] ?? 0) >= SHORTEST);
  const found = notFiniteIn(model, isWeight, () => signal.throwIfAborted());
  if (found !== undefined)
    fail('not-finite', found.name, `Element [${found.index.join(', ')}] of the weight is NaN or infinite`);
}
