/**
 * Slices: the r-bit code of an int8 parent code q in 0…255, for each way of slicing. With k = 2^(8−r):
 *
 * - `paper`  min((q + k/2) >> (8−r), 2^r − 1): MatQuant v3 eq. 6, ties round half up (appendix A), clamped.
 * - `extra`  (q + k/2) >> (8−r): MatQuant eq. 8, extra precision, 2^r + 1 levels.
 * - `prefix` q >> (8−r): the leading bits; needs no tie rule and no clamp.
 *
 * Only `prefix` composes (8→4→2 = 8→2) and is a prefix of bits, so slices are always taken from the parent.
 */
import { PRECISIONS, type Precision } from './precision.js';

export type SliceKind = 'paper' | 'extra' | 'prefix';

/** The code of one parent code. */
export function sliceCode(q: number, kind: SliceKind, bits: Precision): number {
  const drop = 8 - bits;
  if (kind === 'prefix' || drop === 0) return q >> drop;
  const rounded = (q + (1 << (drop - 1))) >> drop;
  return kind === 'paper' ? Math.min(rounded, (1 << bits) - 1) : rounded;
}

/** The codes of all 256 parent codes. Shared: do not write to it. */
export function sliceTable(kind: SliceKind, bits: Precision): Uint8Array {
  return TABLES[kind][bits];
}

/** Slices parent codes of any shape. */
export function sliceCodes(codes: Uint8Array, kind: SliceKind, bits: Precision): Uint8Array {
  const table = sliceTable(kind, bits);
  const out = new Uint8Array(codes.length);
  for (let i = 0; i < out.length; i++) out[i] = table[codes[i] as number] as number;
  return out;
}

/** How many different codes a slice can have. */
export function levelCount(kind: SliceKind, bits: Precision): number {
  return (1 << bits) + (kind === 'extra' && bits < 8 ? 1 : 0);
}

/** The bits a code of the slice takes when every weight has the same width. */
export function codeBits(kind: SliceKind, bits: Precision): Precision {
  return kind === 'extra' && bits < 8 ? ((bits + 1) as Precision) : bits;
}

/** Decoding with the scale α and zero point z of the parent: ŵ = α · (step · c + shift − z). */
export interface TiedDecode {
  readonly step: number;
  readonly shift: number;
}

/** A prefix stands for the middle of the k parent codes it covers; `paper` and `extra` rounded to a multiple of k. */
export function decodeConstants(kind: SliceKind, bits: Precision): TiedDecode {
  const step = 1 << (8 - bits);
  return { step, shift: kind === 'prefix' ? (step - 1) / 2 : 0 };
}

const TABLES: Record<SliceKind, Record<Precision, Uint8Array>> = {
  paper: tablesOf('paper'),
  extra: tablesOf('extra'),
  prefix: tablesOf('prefix'),
};

function tablesOf(kind: SliceKind): Record<Precision, Uint8Array> {
  const table = (bits: Precision): Uint8Array => Uint8Array.from({ length: 256 }, (_, q) => sliceCode(q, kind, bits));
  return Object.fromEntries(PRECISIONS.map((bits) => [bits, table(bits)])) as Record<Precision, Uint8Array>;
}
