/** What is learned for a block: named arrays that are fed to the training graph and moved by the optimizer. */

import type { Projection } from '../../analysis/projection.js';
import { blocksOf } from '../../quant/grid.js';
import type { Precision } from '../../quant/precision.js';
import type { SliceKind } from '../../quant/slice.js';
import { type Feeds, floats } from '../../runtime/runtime.js';
import type { BlockedShape } from './fake-quant.js';

/**
 * `clip`: γ and β of every block's range. `scale`: the equivalent transform's s. `shift`: its δ. `rounding`: which code a weight
 * gets. `tables`: scale and offset of every precision and block.
 */
export type LearnKind = 'clip' | 'scale' | 'shift' | 'rounding' | 'tables';

export interface Learnable {
  /** Name of the graph's input. */
  readonly name: string;
  readonly kind: LearnKind;
  readonly dims: readonly number[];
  /** Changed in place. */
  readonly values: Float32Array;
  /** Factor of the rate, for numbers whose size is that of the weights; default 1. */
  readonly unit?: number;
  /** Largest magnitude; kept after every step. */
  readonly bound?: number | undefined;
}

/** How a block is quantized, and what of that is learned. */
export interface StudentPlan {
  /** Precisions of the set, or the single one. */
  readonly bits: readonly Precision[];
  /** Bits of the parent: 8, or the only precision there is. */
  readonly parent: Precision;
  /** Columns that share a scale, in rows of `k`. */
  readonly blockOf: (k: number) => number;
  readonly slice: SliceKind;
  readonly symmetric: boolean;
  readonly learn: ReadonlySet<LearnKind>;
  /** Whether s may scale the block's input: its inverse then goes into the norm, or a node. Default 'scaled'. */
  readonly entry?: 'scaled' | 'kept';
  /** Where the numbers behind γ and β start: σ(4) = .982 in OmniQuant. */
  readonly start: number;
}

export const shapeOf = ({ n, k, weight }: Projection, { blockOf }: StudentPlan): BlockedShape => ({
  n,
  layout: weight.layout,
  blocks: blocksOf(k, blockOf(k)),
});

export const feedsOf = (learnables: readonly Learnable[]): Feeds =>
  Object.fromEntries(learnables.map(({ name, values, dims }) => [name, floats(values, dims)]));

export const learnable = (
  kind: LearnKind,
  name: string,
  dims: readonly number[],
  start = 0,
  bound?: number,
): Learnable => ({
  name,
  kind,
  dims,
  values: new Float32Array(dims.reduce((product, dim) => product * dim, 1)).fill(start),
  bound,
});

/** The learned values by name. */
export type Learned = ReadonlyMap<string, Float32Array>;

/** Names of what is learned for a projection. */
export interface LearnedNames {
  readonly upper: string;
  readonly lower: string;
  readonly nudge: string;
  readonly stretch: (bits: number) => string;
  readonly shift: (bits: number) => string;
}

export const namesOf = (id: string): LearnedNames => ({
  upper: `${id}/upper`,
  lower: `${id}/lower`,
  nudge: `${id}/nudge`,
  stretch: (bits) => `${id}/stretch${bits}`,
  shift: (bits) => `${id}/shift${bits}`,
});

/** Names of δ, in units of the scaled values, for a block's input and for what `down` reads. */
export const shiftNamesOf = (id: string): { readonly input: string; readonly hidden: string } => ({
  input: `${id}/delta`,
  hidden: `${id}/delta-hidden`,
});

/** Names of the logarithms of s for a block's input and for what `down` reads. */
export const scaleNamesOf = (id: string): { readonly input: string; readonly hidden: string } => ({
  input: `${id}/log-s`,
  hidden: `${id}/log-t`,
});
