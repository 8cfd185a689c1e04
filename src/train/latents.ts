/**
 * Codes that learn: every code of a precision gets a position on the scale of its codes, which starts in the middle of what the
 * finest stored code says of it. A position may move a few parent codes only, so that just weights near a threshold change.
 */

import type { ProjectionPlace } from '../quant/layout.js';
import type { Precision } from '../quant/precision.js';
import { codesAt, placesOf, type SetReader } from '../set/index.js';
import type { StudentProjection, Tables } from './distill/student.js';

/** Just below the next code. */
const MARGIN = 2 ** -12;

/** Where codes may move. */
export interface LatentBounds {
  /** How far from the start, in codes of the 8-bit parent. */
  readonly near: number;
  /** Leading bits that an earlier precision has fixed. */
  readonly held: number;
}

/** The finest codes that a set stores of a projection, as 8-bit parent codes [n, k] with zeros below. */
export function parentCodesOf(reader: SetReader, place: ProjectionPlace): Uint8Array {
  const top = place.chain.at(-1) as Precision;
  const codes = codesAt(reader, place, top);
  return top === 8 ? codes : codes.map((code) => code << (8 - top));
}

/** The students with positions beside their tables. */
export function withLatents(
  student: readonly StudentProjection[],
  reader: SetReader,
  bits: Precision,
): readonly StudentProjection[] {
  const places = placesOf(reader.layout);
  return student.map((each) => {
    if (!each.learns) return each;
    const place = places.get(each.codes.name) as ProjectionPlace;
    const unit = 2 ** (8 - bits);
    const middle = 2 ** (8 - (place.chain.at(-1) as Precision)) / 2;
    const latent = Float32Array.from(parentCodesOf(reader, place), (code) => (code + middle) / unit);
    return { ...each, columns: { ...each.columns, latent } };
  });
}

/** Moves positions that have gone too far back, in place. */
export function confineLatents(
  starts: Tables,
  { near, held }: LatentBounds,
  bits: Precision,
): (tables: Tables) => void {
  const reach = near / 2 ** (8 - bits);
  const cell = 2 ** (bits - held);
  return (tables) => {
    for (const [id, { latent }] of tables) {
      const start = starts.get(id)?.latent;
      if (latent === undefined || start === undefined) continue;
      for (let i = 0; i < latent.length; i++) {
        const from = start[i] as number;
        const least = Math.floor(from / cell) * cell;
        const low = Math.max(from - reach, least);
        const high = Math.min(from + reach, least + cell - MARGIN);
        const value = latent[i] as number;
        latent[i] = Math.max(low, Math.min(value, high));
      }
    }
  };
}

/** Parent codes that begin with the codes which were learnt; what lies below stays where it can. */
export function mergedCodes(parent: Uint8Array, latent: Float32Array, bits: Precision): Uint8Array {
  const width = 2 ** (8 - bits);
  return parent.map((code, at) => {
    const base = Math.floor(latent[at] as number) * width;
    return Math.min(Math.max(code, base), base + width - 1);
  });
}

/** Grid of the finest stored table, w = scale * (parent code - zero), [n, columns] each. */
export function gridOfTable(
  { scale, offset }: { readonly scale: Float32Array; readonly offset: Float32Array },
  top: Precision,
): { readonly scale: Float32Array; readonly zero: Float32Array } {
  const step = 2 ** (8 - top);
  return {
    scale: scale.map((a) => a / step),
    zero: offset.map((b, at) => (step - 1) / 2 - (b * step) / (scale[at] || 1)),
  };
}

/** The precisions below which nothing is left to solve. */
export const finer = (place: ProjectionPlace, bits: Precision): readonly Precision[] =>
  place.chain.filter((each) => each > bits);
