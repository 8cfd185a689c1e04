/** What a nested parent is solved for, and what comes out. */
import { fail } from '../../diagnostics.js';

/** Bits of a code. */
export type Precision = 2 | 3 | 4 | 5 | 6 | 7 | 8;

/** How an r-bit code is cut from the 8-bit parent: its leading bits, MatQuant eq. 6 (rounded, clamped), or eq. 8 (not clamped). */
export type Slice = 'prefix' | 'paper' | 'extra';

/** How a code is decoded: own scale and offset, own scale around 2^(r-1) - 1/2 or 2^(r-1), or the parent's scale. */
export type Decode = 'ab' | 'mid' | 'signed' | 'tied';

/** The shape of a nested parent. */
export interface Nesting {
  /** Precisions solved for. One precision below 8 alone makes an r-bit parent of its own. */
  readonly bits: readonly Precision[];
  /** Weights of one row that share a scale; at least K for one block per row. */
  readonly block: number;
  readonly slice: Slice;
  readonly decode: Decode;
  /** Parent with its zero point at the middle code; together with `signed` its scale may be negative. */
  readonly symmetric: boolean;
}

/** Scale and offset per row and block [N, blocks]: w = scale * code + offset. */
export interface Table {
  readonly scale: Float32Array;
  readonly offset: Float32Array;
}

/** Parent codes [N, K] with their grid w = scale * (code - zero), [N, blocks], and one table per precision. */
export interface Nested {
  readonly codes: Uint8Array;
  readonly parent: { readonly scale: Float32Array; readonly zero: Float32Array };
  readonly tables: ReadonlyMap<Precision, Table>;
}

/** Numbers of the slices, decodes and grids in `src/kernels/assembly/grid.ts`. */
export const SLICES: Readonly<Record<Slice, number>> = { prefix: 0, paper: 1, extra: 2 };
export const DECODES: Readonly<Record<Decode, number>> = { ab: 0, mid: 1, signed: 2, tied: 3 };

export function gridOf(nesting: Nesting): number {
  if (!nesting.symmetric) return 0;
  return nesting.decode === 'signed' ? 2 : 1;
}

/** Bits of the parent: 8, or the only precision there is. */
export function parentBits(bits: readonly Precision[]): Precision {
  return bits.length === 1 && bits[0] !== undefined ? bits[0] : 8;
}

/** Checks precisions and block; returns the precisions in descending order. */
export function checkNesting(nesting: Nesting): readonly Precision[] {
  const { bits, block } = nesting;
  const valid =
    bits.length > 0 && new Set(bits).size === bits.length && bits.every((r) => Number.isInteger(r) && r >= 2 && r <= 8);
  if (!valid) fail('bad-usage', 'bits', `[${bits.join(', ')}] is not a set of precisions from 2 to 8`);
  if (!Number.isInteger(block) || block < 1) fail('bad-usage', 'block', `${block} is not a block size`);
  return [...bits].sort((a, b) => b - a);
}
