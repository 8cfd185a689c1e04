/** The learned equivalent transform, applied to weights: W ⊙ s going in, and its inverse on what was quantized. */
import type { Projection } from '../../analysis/projection.js';
import type { Entry } from '../../emit/entry.js';
import { projectionsOf, type TrainBlock } from './block.js';
import { type Learned, scaleNamesOf, shiftNamesOf } from './learnables.js';

/** Factors of the columns and rows of a projection; undefined where there are none. */
export interface Factors {
  readonly columns: Float32Array | undefined;
  readonly rows: Float32Array | undefined;
}

/** s on the columns of gate and up, 1/t on the rows of up, t on the columns of down. */
export function factorsOf(block: TrainBlock, projection: Projection, learned: Learned): Factors {
  const { input, hidden } = scaleNamesOf(block.id);
  const [logS, logT] = [learned.get(input), learned.get(hidden)];
  if (projection === block.down) return { columns: logT?.map(Math.exp), rows: undefined };
  const rows = projection === block.up ? logT?.map((value) => Math.exp(-value)) : undefined;
  return { columns: logS?.map(Math.exp), rows };
}

/** 1/s for the norm in front of the block. */
export const inverseOf = (block: TrainBlock, learned: Learned): Float32Array | undefined =>
  learned.get(scaleNamesOf(block.id).input)?.map((value) => Math.exp(-value));

/** Weights [n, k] times their factors. */
export function scaledWeights(weights: Float32Array, k: number, { columns, rows }: Factors): Float32Array {
  if (columns === undefined && rows === undefined) return weights;
  return weights.map((weight, at) => weight * (columns?.[at % k] ?? 1) * (rows?.[Math.floor(at / k)] ?? 1));
}

export const inverted = ({ columns, rows }: Factors): Factors => ({
  columns: columns?.map((value) => 1 / value),
  rows: rows?.map((value) => 1 / value),
});

/**
 * What stands as nodes around the projections of a block: δ, and 1/s where it is not folded. `weightsOf` gives the exact weights
 * [n, k] times their factors.
 */
export function entriesOf(
  block: TrainBlock,
  learned: Learned,
  isFolded: boolean,
  weightsOf: (projection: Projection) => Float32Array,
): ReadonlyMap<string, Entry> {
  const { input, hidden } = shiftNamesOf(block.id);
  const inverse = isFolded ? undefined : inverseOf(block, learned);
  return new Map(
    projectionsOf(block).map((projection): [string, Entry] => {
      const isDown = projection === block.down;
      const shift = learned.get(isDown ? hidden : input);
      const restored = shift && timesWeights(shift, weightsOf(projection), projection);
      return [projection.id, { inverse: isDown ? undefined : inverse, shift, restored }];
    }),
  );
}

/** δ times weights [n, k], summed in float64. */
function timesWeights(shift: Float32Array, weights: Float32Array, { n, k }: Projection): Float32Array {
  return Float32Array.from({ length: n }, (_, row) =>
    shift.reduce((sum, delta, at) => sum + delta * (weights[row * k + at] as number), 0),
  );
}
