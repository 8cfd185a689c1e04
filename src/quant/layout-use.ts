/** What one graph reads of a set: bytes of the file, and bits per weight. */
import { fail } from '../diagnostics.js';
import {
  allPlaces,
  type ColumnPlace,
  effectiveBits,
  type ProjectionPlace,
  placeBlocks,
  planesAt,
  type Range,
  type SetLayout,
  tableAt,
} from './layout.js';
import { rowBytes } from './pack.js';
import { containerBits } from './precision.js';

/** Precision of each projection by id. */
export type BitsOf = (id: string) => number;

/**
 * Precisions of a mix, by id. It reads nested token tables as the smallest model of the set does whose codes have at least as many bits
 * on average: projections may have a lowest precision above that of the model.
 */
export function bitsOfMix(layout: SetLayout, table: Readonly<Record<string, number>>): BitsOf {
  const bitsOf = (id: string): number =>
    table[id] ?? fail('bits-file', id, 'The mix has no precision for this projection');
  const tables = new Set(layout.tokenTables?.map(({ id }) => id));
  if (tables.size === 0) return bitsOf;
  const { average } = bitsPerWeight(layout, bitsOf, false);
  const isEnough = (bits: number): boolean => bitsPerWeight(layout, () => bits, false).average >= average;
  const whole = layout.bits.find(isEnough) ?? Math.max(...layout.bits);
  return (id) => (tables.has(id) ? whole : bitsOf(id));
}

/** The ranges a projection reads at `bits`: planes, then tables. */
export function rangesRead(
  layout: SetLayout,
  place: ProjectionPlace,
  bits: number,
): { planes: readonly Range[]; tables: readonly Range[] } {
  const own = effectiveBits(place, bits);
  const { scale, offset, zero, bias } = tableAt(place, own, layout.decode);
  const single = [zero, bias].filter((range) => range !== undefined);
  const tables = [...columnRanges(scale), ...(offset ? columnRanges(offset) : []), ...single];
  return { planes: planesAt(place, own), tables };
}

const columnRanges = (column: ColumnPlace): readonly Range[] => (column.supers ? [column, column.supers] : [column]);

/** Bytes of the file, from its start, that a graph with these precisions needs. */
export function prefixRead(layout: SetLayout, bitsOf: BitsOf): number {
  let end = layout.sections[0]?.start ?? 0;
  for (const place of allPlaces(layout)) {
    const { planes, tables } = rangesRead(layout, place, bitsOf(place.id));
    for (const range of [...planes, ...tables]) end = Math.max(end, range.offset + range.length);
  }
  return end;
}

/** Averages over the weights of a set's projections. */
export interface BitsPerWeight {
  /** Bits of a code. */
  readonly average: number;
  /**
   * Codes, scales, offsets, zero points and learned biases on disk, with the padding of ragged blocks. Look-up tables that a graph
   * joins planes by belong to the graph: they do not grow with the weights.
   */
  readonly stored: number;
}

/** Bytes of a projection at `bits`; the codes of a self-contained model fill their containers. */
export function storedBytes(layout: SetLayout, place: ProjectionPlace, bits: number, standalone: boolean): number {
  const { planes, tables } = rangesRead(layout, place, bits);
  const container = containerBits(effectiveBits(place, bits));
  const codes = standalone ? place.n * rowBytes(placeBlocks(place), container) : bytesOf(planes);
  return codes + bytesOf(tables);
}

/** Bits per weight of a graph over the set, or of a self-contained model whose codes fill their containers. */
export function bitsPerWeight(layout: SetLayout, bitsOf: BitsOf, standalone: boolean): BitsPerWeight {
  let weights = 0;
  let codeBits = 0;
  let bytes = 0;
  for (const place of layout.projections) {
    const own = effectiveBits(place, bitsOf(place.id));
    weights += place.k * place.n;
    codeBits += own * place.k * place.n;
    bytes += storedBytes(layout, place, own, standalone);
  }
  return weights === 0 ? { average: 0, stored: 0 } : { average: codeBits / weights, stored: (8 * bytes) / weights };
}

/** Bytes of ranges. */
export const bytesOf = (ranges: readonly Range[]): number => ranges.reduce((sum, { length }) => sum + length, 0);
