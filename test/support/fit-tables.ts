/** Tables fitted without data (least squares, H = I), and codes in their containers: an oracle for tests. */
import { type Blocks, blockSpan, type Grid } from '../../src/quant/grid.js';
import { containerBits, type Precision } from '../../src/quant/precision.js';
import { codeBits, type SliceKind, sliceTable } from '../../src/quant/slice.js';
import { type DecodeKind, type DecodeTable, tiedTable } from '../../src/quant/tables.js';

export const SLICE_KINDS: readonly SliceKind[] = ['paper', 'extra', 'prefix'];

/** What a fit is made of: weights and parent codes [rows, K], and the grid the codes were made with. */
export interface Fit {
  readonly weights: Float32Array;
  readonly codes: Uint8Array;
  readonly blocks: Blocks;
  readonly grid: Grid;
  readonly slice: SliceKind;
  readonly bits: Precision;
}

/** The table of `kind` with the least squared error Σ (w − ŵ)² in every block; sums in float64. */
export function fitTable(fit: Fit, kind: DecodeKind): DecodeTable {
  const tied = tiedTable(fit.grid, fit.slice, fit.bits);
  if (kind === 'tied') return tied;
  const table: DecodeTable = {
    scale: new Float32Array(tied.scale.length),
    offset: new Float32Array(tied.scale.length),
  };
  for (let b = 0; b < tied.scale.length; b++) {
    const sums = blockSums(fit, b);
    const [scale, offset] = FITS[kind](sums, tied.scale[b] as number, fit.bits);
    table.scale[b] = scale;
    table.offset[b] = offset;
  }
  return table;
}

/** Moments of one block: count, Σc, Σc², Σw, Σcw over its codes and weights. */
interface Sums {
  readonly n: number;
  readonly c: number;
  readonly cc: number;
  readonly w: number;
  readonly cw: number;
}

function blockSums(fit: Fit, b: number): Sums {
  const slice = sliceTable(fit.slice, fit.bits);
  const { from, to } = blockSpan(b, fit.blocks);
  const sums = { n: to - from, c: 0, cc: 0, w: 0, cw: 0 };
  for (let i = from; i < to; i++) {
    const code = slice[fit.codes[i] as number] as number;
    const weight = fit.weights[i] as number;
    sums.c += code;
    sums.cc += code * code;
    sums.w += weight;
    sums.cw += code * weight;
  }
  return sums;
}

type FitRule = (sums: Sums, tiedScale: number, bits: Precision) => readonly [scale: number, offset: number];

/** A block whose codes do not determine its scale keeps the tied one, so that its codes may still move later. */
const FITS: Record<Exclude<DecodeKind, 'tied'>, FitRule> = {
  ab: ({ n, c, cc, w, cw }, tiedScale) => {
    const spread = n * cc - c * c; // exact: integers below 2^53
    const scale = spread > 0 ? (n * cw - c * w) / spread : tiedScale;
    return [scale, (w - Math.fround(scale) * c) / n];
  },
  mid: (sums, tiedScale, bits) => scaleOnly(sums, tiedScale, 2 ** (bits - 1) - 0.5),
  signed: (sums, tiedScale, bits) => scaleOnly(sums, tiedScale, 2 ** (bits - 1)),
};

function scaleOnly({ n, c, cc, w, cw }: Sums, tiedScale: number, zero: number): readonly [number, number] {
  const square = cc - 2 * zero * c + n * zero * zero; // Σ(c − zero)²
  const scale = square > 0 ? (cw - zero * w) / square : tiedScale;
  return [scale, -zero * Math.fround(scale)];
}

/** Parent codes → codes of a slice, top-aligned in their container. */
export function containerCodes(codes: Uint8Array, slice: SliceKind, bits: Precision): Uint8Array {
  const width = codeBits(slice, bits);
  const lift = containerBits(width) - width;
  const table = sliceTable(slice, bits).map((code) => code << lift);
  const out = new Uint8Array(codes.length);
  for (let i = 0; i < out.length; i++) out[i] = table[codes[i] as number] as number;
  return out;
}
