/** How the projections of a recipe are quantized while something of them is trained. */

import { containerBlock } from '../quant/layout.js';
import type { Recipe } from '../recipe/index.js';
import { parentBits } from '../solve/index.js';
import type { LearnKind, StudentPlan } from './blocks/learnables.js';

/** OmniQuant's start, for what a grid does not give. */
const SIGMOID_START = 4;

export function studentPlan(
  { bits, block, slice, symmetric }: Recipe,
  learn: readonly LearnKind[],
  start: number | 'grid',
): StudentPlan {
  return {
    bits,
    parent: parentBits(bits),
    blockOf: (k) => (block === 'channel' ? k : containerBlock(k, block)),
    slice,
    symmetric,
    learn: new Set(learn),
    start: start === 'grid' ? SIGMOID_START : start,
  };
}
