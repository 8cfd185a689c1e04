/** Decode tables: how the codes c of one precision become weights, ŵ = scale · c + offset, one pair per block. */
import { type Blocks, blockSpan, type Grid } from './grid.js';
import { containerBits, type Precision } from './precision.js';
import { decodeConstants, type SliceKind } from './slice.js';

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

/** The table the parent's own scale and zero point imply: α(step · c + shift − z). */
export function tiedTable(grid: Grid, slice: SliceKind, bits: Precision): DecodeTable {
  const { step, shift } = decodeConstants(slice, bits);
  const scale = grid.scale.map((alpha) => alpha * step);
  return { scale, offset: grid.scale.map((alpha, b) => alpha * (shift - (grid.zero[b] as number))) };
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
