/** What a solved projection stores: its codes as an 8-bit parent, and its tables in their stored form. */

import { compressTable, type StoredTable } from '../quant/compress.js';
import type { ProjectionPlace, SetLayout } from '../quant/layout.js';
import { type CentredTable, centre } from '../quant/tables.js';
import { type Nested, parentBits } from '../solve/index.js';
import type { ProjectionParts } from './stored-pieces.js';

/** Turns a solution into the parts of its place in the set. */
export function partsOf(place: ProjectionPlace, nested: Nested, layout: SetLayout): ProjectionParts {
  return { codes: alignedCodes(place, nested), ...tablePartsOf(place, nested, layout) };
}

/** The tables of a solution in their stored form, and zero points where the decode has them. */
export function tablePartsOf(
  place: ProjectionPlace,
  nested: Omit<Nested, 'codes'>,
  layout: Pick<SetLayout, 'decode' | 'tables'>,
): Omit<ProjectionParts, 'codes'> {
  const form = layout.tables;
  if (layout.decode === 'tied') {
    const alpha: CentredTable = { scale: nested.parent.scale, offset: new Float32Array(nested.parent.scale.length) };
    const table = place.tables[0];
    const tables = new Map(table === undefined ? [] : [[table.bits as number, compressTable(alpha, form, place.id)]]);
    return { tables, zero: Uint8Array.from(nested.parent.zero) };
  }
  const tables = new Map<number, StoredTable>();
  for (const { bits } of place.tables) tables.set(bits, compressTable(centredAt(nested, bits, layout), form, place.id));
  return { tables };
}

/** The container table of one precision, without the offsets that this decode does not store. */
function centredAt(nested: Pick<Nested, 'tables'>, bits: number, layout: Pick<SetLayout, 'decode'>): CentredTable {
  const table = nested.tables.get(bits as 8);
  if (table === undefined) throw new Error(`no int${bits} table was solved`);
  const centred = centre(table, bits as 8);
  return layout.decode === 'ab' ? centred : { scale: centred.scale, offset: new Float32Array(centred.scale.length) };
}

/** A parent of fewer than 8 bits fills the leading bits of a byte, so that its planes are cut like those of any other. */
function alignedCodes(place: ProjectionPlace, nested: Nested): Uint8Array {
  const shift = 8 - parentBits(place.chain);
  return shift === 0 ? nested.codes : nested.codes.map((code) => code << shift);
}
