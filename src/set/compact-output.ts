/**
 * A mix in a folder of its own: one graph, and a data file with just the bytes that this mix reads. A cut copy of the set's file
 * would reach to the end of the highest precision of any projection: almost all of it as soon as one projection has 8 bits.
 */
import { closeSync, openSync } from 'node:fs';
import { readExactly, writeFully } from '../files/transfer.js';
import {
  allPlaces,
  type ColumnPlace,
  effectiveBits,
  type ProjectionPlace,
  planesAt,
  type Range,
  type SetLayout,
  tableAt,
} from '../quant/layout.js';
import { type BitsOf, rangesRead } from '../quant/layout-use.js';

/** Where tensors may start: what memory mapping and SIMD loads like. */
const LINE = 64;
const STEP = 8 << 20;

/** A layout whose ranges lie in a file of their own, and what is copied there. */
export interface Compacted {
  readonly layout: SetLayout;
  readonly copies: readonly { readonly from: Range; readonly to: number }[];
  readonly byteLength: number;
}

/** Places what a mix reads, in the order of the set's file. */
export function compact(layout: SetLayout, bitsOf: BitsOf): Compacted {
  const wanted = [
    ...layout.rest,
    ...allPlaces(layout).flatMap((place) => {
      const { planes, tables } = rangesRead(layout, place, bitsOf(place.id));
      return [...planes, ...tables];
    }),
  ].sort((a, b) => a.offset - b.offset);
  const places = new Map<number, number>();
  let end = 0;
  const copies = wanted.map((from) => {
    const to = Math.ceil(end / LINE) * LINE;
    places.set(from.offset, to);
    end = to + from.length;
    return { from, to };
  });
  const moved = <R extends Range>(range: R): R => ({ ...range, offset: places.get(range.offset) ?? range.offset });
  const column = (each: ColumnPlace): ColumnPlace =>
    each.supers === undefined ? moved(each) : { ...moved(each), supers: moved(each.supers) };
  const moveTo = (place: ProjectionPlace): ProjectionPlace => {
    const own = effectiveBits(place, bitsOf(place.id));
    const { scale, offset, zero, bias, bits } = tableAt(place, own, layout.decode);
    const table = {
      bits,
      scale: column(scale),
      ...(offset && { offset: column(offset) }),
      ...(zero && { zero: moved(zero) }),
      ...(bias && { bias: moved(bias) }),
    };
    const planes = planesAt(place, own).map(moved);
    return { ...place, planes, tables: [table] };
  };
  const projections = layout.projections.map(moveTo);
  const tokenTables = layout.tokenTables?.map(moveTo);
  const rest = layout.rest.map(moved);
  return { layout: { ...layout, rest, projections, tokenTables, byteLength: end }, copies, byteLength: end };
}

/** Copies the ranges out of the set's data file into a new file. */
export function copyCompact({ copies }: Compacted, source: string, target: string): void {
  const [input, copy] = [openSync(source, 'r'), openSync(target, 'wx')];
  try {
    for (const { from, to } of copies) {
      for (let at = 0; at < from.length; at += STEP) {
        const bytes = readExactly(input, from.offset + at, from.offset + Math.min(at + STEP, from.length), source);
        writeFully(copy, bytes, to + at);
      }
    }
  } finally {
    closeSync(input);
    closeSync(copy);
  }
}
