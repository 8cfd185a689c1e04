/** What the report says of the training of a block. */

import type { BlockTraining } from '../set/index.js';
import { projectionsOf, type TrainBlock } from './blocks/block.js';
import type { BlockHistory } from './blocks/train.js';

/** Digits of a loss in the report. */
const DIGITS = 6;

/** `bits`: the precision whose tables were trained; without, all were trained together. */
export function trainingReport(
  block: TrainBlock,
  segment: number,
  history: BlockHistory,
  bits?: number,
): BlockTraining {
  const rounded = (value: number): number => Number(value.toPrecision(DIGITS));
  const { losses, start, end, retries, fallback } = history;
  return {
    layer: block.layer,
    segment,
    ...(bits !== undefined && { bits }),
    losses: losses.map(rounded),
    start: rounded(start),
    end: rounded(end),
    retries,
    fallback: fallback ? projectionsOf(block).map(({ id }) => id) : [],
  };
}
