/** What a nested parent is solved for, and what comes out. */
import { fail } from '../../diagnostics.js';
import type { Precision } from '../../quant/precision.js';
import type { SliceKind } from '../../quant/slice.js';
import type { DecodeKind, DecodeTable } from '../../quant/tables.js';

/** The shape of a nested parent. */
export interface Nesting {
  /** Precisions solved for. One precision below 8 alone makes an r-bit parent of its own. */
  readonly bits: readonly Precision[];
  /** Weights of one row that share a scale; at least K for one block per row. */
  readonly block: number;
  readonly slice: SliceKind;
  readonly decode: DecodeKind;
  /** Parent with its zero point at the middle code; together with `signed` its scale may be negative. */
  readonly symmetric: boolean;
}

/** Everything the calibrated solver is told. */
export interface SolveOptions extends Nesting {
  /** Weight of each precision in the shared objective on squared errors. */
  readonly lambda: Readonly<Record<number, number>>;
  /**
   * Grid of the parent: the extremes of a block, or the clipping that errs least under the block diagonal of H; `pairs` clips
   * each end by itself, with the errors as rounding leaves them.
   */
  readonly range: 'minmax' | 'grid' | 'pairs';
  /** Plain rounding, GPTQ with one error-compensated copy per precision, or with one copy and the mean residual (MatGPTQ). */
  readonly codes: 'round' | 'gptq' | 'mean';
  /** Part of the mean diagonal of H added before it is factored. */
  readonly damping: number;
  /** Times that tables are fitted and codes descended, and sweeps of descent each time. */
  readonly rounds: number;
  readonly sweeps: number;
}

/**
 * Error tr (W - Ŵ) H (W - Ŵ)ᵀ / tr W H Wᵀ of a precision on at most 30 rows: of rounding alone (before), and as solved (after).
 */
export interface PrecisionError {
  readonly before: number;
  readonly after: number;
}

/** How a solution came out. */
export interface SolveReport {
  readonly error: ReadonlyMap<Precision, PrecisionError>;
  /** Damping that the factorization needed; 0 when nothing was factored. */
  readonly damping: number;
  /** Inputs that were always zero in the Gram matrix. */
  readonly dead: number;
  /** Time of the threads, shared evenly among projections solved together. */
  readonly seconds: number;
}

export interface Solved extends Nested {
  readonly report: SolveReport;
}

/** Parent codes [N, K] with their grid w = scale * (code - zero), [N, blocks], and one table per precision. */
export interface Nested {
  readonly codes: Uint8Array;
  readonly parent: { readonly scale: Float32Array; readonly zero: Float32Array };
  readonly tables: ReadonlyMap<Precision, DecodeTable>;
}

/** Codes of which the leading bits stay as they are; only what lies below them is solved. */
export interface HeldCodes {
  /** How many bits stay. */
  readonly bits: Precision;
  /** Parent codes [rows, K], 8 bits. */
  readonly codes: Uint8Array;
  /** The grid that the codes are on, w = scale * (code - zero); zero need not be whole. [rows, blocks] each. */
  readonly grid: { readonly scale: Float32Array; readonly zero: Float32Array };
}

/** λ_r = base^(r-2): base 2 is the preset t2, 1.5 is t1.5. A raw squared error shrinks about four times per bit. */
export function lambdas(bits: readonly Precision[], base = 2): Readonly<Record<number, number>> {
  return Object.fromEntries(bits.map((r) => [r, base ** (r - 2)]));
}

/** Numbers of the slices, decodes and grids in `src/kernels/assembly/grid.ts`. */
export const SLICES: Readonly<Record<SliceKind, number>> = { prefix: 0, paper: 1, extra: 2 };
export const DECODES: Readonly<Record<DecodeKind, number>> = { ab: 0, mid: 1, signed: 2, tied: 3 };

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
