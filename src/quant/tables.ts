/**
 * Decode tables: how the codes c of one precision become weights, ŵ = scale · c + offset, one pair per block.
 * Here they are fitted without data (least squares, H = I); the solver refits them under the Gram matrix of the inputs.
 */
import { fail } from '../diagnostics.js';
import { type Blocks, blockSpan, type Grid } from './grid.js';
import { containerBits, type Precision } from './precision.js';
import { codeBits, decodeConstants, type SliceKind, sliceTable } from './slice.js';

/** ŵ = scale · c + offset; [rows, blocks] each. */
export interface DecodeTable {
  readonly scale: Float32Array;
  readonly offset: Float32Array;
}

/**
 * The form that runs: codes top-aligned in a container of m bits, C = c << (m−r), and
 * Ŵ = scale · (C − 2^(m−1)) + offset. MatMulNBits takes 2^(m−1) as its default zero point, and going down in precision
 * is a plain truncation of the container.
 */
export interface CentredTable {
  readonly scale: Float32Array;
  readonly offset: Float32Array;
}

/**
 * `ab`: free scale and offset. `mid`: scale only, zero at the middle 2^(r−1) − ½. `signed`: scale only, zero point 2^(r−1),
 * so the centred offset vanishes. `tied`: nothing is fitted, the parent's α and z decode every precision.
 */
export type DecodeKind = 'ab' | 'mid' | 'signed' | 'tied';

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

/** The table the parent's own scale and zero point imply: α(step · c + shift − z). */
export function tiedTable(grid: Grid, slice: SliceKind, bits: Precision): DecodeTable {
  const { step, shift } = decodeConstants(slice, bits);
  const scale = grid.scale.map((alpha) => alpha * step);
  return { scale, offset: grid.scale.map((alpha, b) => alpha * (shift - (grid.zero[b] as number))) };
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

/** Weights of the codes of one precision, scale · c + offset, [rows, K]. */
export function decodeTable(codes: Uint8Array, blocks: Blocks, table: DecodeTable): Float32Array {
  const weights = new Float32Array(codes.length);
  for (let b = 0; b < table.scale.length; b++) {
    const { from, to } = blockSpan(b, blocks);
    const scale = table.scale[b] as number;
    const offset = table.offset[b] as number;
    for (let i = from; i < to; i++) weights[i] = scale * (codes[i] as number) + offset;
  }
  return weights;
}

/** Code table → container table. `codeWidth` is the width of the codes; one more than the precision for `extra`. */
export function centre(table: DecodeTable, codeWidth: Precision): CentredTable {
  const shrink = 2 ** (codeWidth - containerBits(codeWidth));
  const middle = 2 ** (codeWidth - 1);
  return {
    scale: table.scale.map((a) => a * shrink),
    offset: table.offset.map((b, i) => b + (table.scale[i] as number) * middle),
  };
}

/** Container table → code table; the inverse of `centre`, exact in the scale and to float32 rounding in the offset. */
export function uncentre(table: CentredTable, codeWidth: Precision): DecodeTable {
  const grow = 2 ** (containerBits(codeWidth) - codeWidth);
  const middle = 2 ** (codeWidth - 1);
  const scale = table.scale.map((s) => s * grow);
  return { scale, offset: table.offset.map((o, i) => o - (scale[i] as number) * middle) };
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

/** Weights of container codes, Ŵ = scale · (C − 2^(m−1)) + offset with m = `container`, [rows, K]. */
export function decodeCentred(codes: Uint8Array, blocks: Blocks, table: CentredTable, container: number): Float32Array {
  const zero = 2 ** (container - 1);
  const weights = new Float32Array(codes.length);
  for (let b = 0; b < table.scale.length; b++) {
    const { from, to } = blockSpan(b, blocks);
    const scale = table.scale[b] as number;
    const offset = table.offset[b] as number;
    for (let i = from; i < to; i++) weights[i] = scale * ((codes[i] as number) - zero) + offset;
  }
  return weights;
}

/** True when some block has a centred offset, so that the graph needs the block-sum term. */
export function hasOffset(table: CentredTable): boolean {
  return table.offset.some((offset) => offset !== 0);
}

/** Repeats the entries of wide blocks over the narrower ones inside them: [rows, from.count] → [rows, to.count]. */
export function repeatBlocks(values: Float32Array, from: Blocks, to: Blocks): Float32Array {
  if (from.count > 1 && from.block % to.block !== 0) {
    fail('bad-usage', 'block', `blocks of ${from.block} do not split into blocks of ${to.block}`);
  }
  const rows = values.length / from.count;
  const out = new Float32Array(rows * to.count);
  for (let i = 0; i < out.length; i++) {
    const row = Math.floor(i / to.count);
    const column = (i - row * to.count) * to.block;
    out[i] = values[row * from.count + Math.floor(column / from.block)] as number;
  }
  return out;
}
