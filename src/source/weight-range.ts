/** Weights whose scales or offsets no float16 holds: such a projection stays float, and the rest is quantized. */

import { significant } from '../format.js';
import { FLOAT16_MAX, FLOAT16_TINY } from '../onnx/ir/half.js';
import type { Tensor } from '../onnx/ir/tensor.js';
import { largestMagnitude } from '../quant/magnitude.js';
import type { Recipe } from '../recipe/index.js';

/** Solved scales and offsets may be larger than the weights; `compressTable` refuses what is left out here. */
const MARGIN = 2;

/** Steps of the smallest float16 that the largest scale must have, see `compressTable`. */
const LEAST_STEPS = 16;

/** Why the tables of a weight cannot be stored, or undefined. Reads the weight once. */
export function rangeProblem(weight: Tensor, { bits, decode }: Pick<Recipe, 'bits' | 'decode'>): string | undefined {
  const largest = largestMagnitude(weight);
  if (largest === 0) return undefined;
  if (largest * MARGIN > FLOAT16_MAX)
    return `its largest weight is ${significant(largest)}, and scales and offsets are float16, which ends at ${FLOAT16_MAX}`;
  const steps = 2 ** (decode === 'tied' ? 8 : Math.max(...bits)) - 1;
  const scale = largest / steps;
  if (scale >= LEAST_STEPS * FLOAT16_TINY) return undefined;
  return `its largest weight is ${significant(largest)}, and the smallest scale that float16 holds is ${significant(FLOAT16_TINY)}`;
}
