/** The pieces of a stored projection: which bytes lie in which ranges of the data file. Writer and reader go by this list. */
import { bytesOf } from '../files/transfer.js';
import type { CodedColumn, StoredTable } from '../quant/compress.js';
import {
  type ColumnPlace,
  type ProjectionPlace,
  placeBlocks,
  type Range,
  type SetLayout,
  type TablePlace,
} from '../quant/layout.js';
import { packPlane } from '../quant/planes.js';

/** What a projection stores. */
export interface ProjectionParts {
  /** Parent codes [n, k], 8 bits. */
  readonly codes: Uint8Array;
  /** By precision of the projection's chain; for `tied` one entry, the parent's α under the lowest precision. */
  readonly tables: ReadonlyMap<number, StoredTable>;
  /** Zero points of the parent [n, columns]; `tied` only. */
  readonly zero?: Uint8Array | undefined;
}

/** A projection as it is stored. */
export interface StoredProjection {
  readonly id: string;
  readonly parts: ProjectionParts;
}

/** Bytes of one range, made when they are asked for. */
export interface Piece {
  readonly range: Range;
  bytes(): Uint8Array;
}

/** The place of a projection with the element types that its tables really have. */
export function typedPlace(place: ProjectionPlace, { tables }: Pick<ProjectionParts, 'tables'>): ProjectionPlace {
  return { ...place, tables: place.tables.map((table) => typedTable(table, tableOf(place, table, tables))) };
}

/** All pieces of a projection: planes, then the columns of each table. */
export function piecesOf(place: ProjectionPlace, parts: ProjectionParts): readonly Piece[] {
  if (parts.codes.length !== place.n * place.k) throw new Error(`${place.id} does not fit the layout`);
  const blocks = placeBlocks(place);
  const planes = place.planes.map((plane): Piece => {
    return { range: plane, bytes: () => packPlane(parts.codes, place.n, blocks, plane) };
  });
  return [...planes, ...tablePiecesOf(place, parts)];
}

/** The columns of each table of a place. */
export const tablePiecesOf = (place: ProjectionPlace, parts: Omit<ProjectionParts, 'codes'>): readonly Piece[] =>
  place.tables.flatMap((table) => tablePieces(place, table, parts));

/** The places of a layout by the id of their projection. */
export const placesOf = ({ projections }: SetLayout): ReadonlyMap<string, ProjectionPlace> =>
  new Map(projections.map((place) => [place.id, place]));

function tablePieces(
  place: ProjectionPlace,
  table: TablePlace,
  parts: Omit<ProjectionParts, 'codes'>,
): readonly Piece[] {
  const stored = tableOf(place, table, parts.tables);
  const pieces = [...columnPieces(table.scale, stored.scale, place.id)];
  if (table.offset !== undefined)
    pieces.push(...columnPieces(table.offset, stored.offset ?? zeroLike(stored.scale), place.id));
  if (table.zero !== undefined) {
    const { zero } = parts;
    if (zero === undefined) throw new Error(`${place.id} has no zero points`);
    pieces.push({ range: table.zero, bytes: () => zero });
  }
  if (table.bias !== undefined)
    pieces.push({ range: table.bias, bytes: () => bytesOf(stored.bias ?? new Uint16Array(place.n)) });
  return pieces;
}

function columnPieces(column: ColumnPlace, values: Uint16Array | CodedColumn, id: string): readonly Piece[] {
  if (values instanceof Uint16Array) {
    if (column.supers !== undefined) throw new Error(`${id} has float16 tables, the set 8-bit ones`);
    return [{ range: column, bytes: () => bytesOf(values) }];
  }
  if (column.supers === undefined) throw new Error(`${id} has 8-bit tables, the set float16 ones`);
  const padded = (): Uint8Array => {
    const bytes = new Uint8Array(column.length);
    bytes.set(bytesOf(values.codes));
    return bytes;
  };
  return [
    { range: column, bytes: padded },
    { range: column.supers, bytes: () => bytesOf(values.supers) },
  ];
}

function tableOf(place: ProjectionPlace, { bits }: TablePlace, tables: ReadonlyMap<number, StoredTable>): StoredTable {
  const stored = tables.get(bits);
  if (stored === undefined) throw new Error(`${place.id} has no int${bits} table`);
  return stored;
}

function typedTable(table: TablePlace, stored: StoredTable): TablePlace {
  const typed = (column: ColumnPlace, values: Uint16Array | CodedColumn): ColumnPlace =>
    values instanceof Uint16Array ? column : { ...column, dtype: values.codes instanceof Int8Array ? 'int8' : 'uint8' };
  const scale = typed(table.scale, stored.scale);
  const offset = table.offset && typed(table.offset, stored.offset ?? zeroLike(stored.scale));
  return { ...table, scale, ...(offset === undefined ? {} : { offset }) };
}

/** A table without offsets in a set that stores them: all offsets are zero. */
function zeroLike(scale: Uint16Array | CodedColumn): Uint16Array | CodedColumn {
  if (scale instanceof Uint16Array) return new Uint16Array(scale.length);
  return { codes: new Int8Array(scale.codes.length), supers: new Uint16Array(scale.supers.length) };
}
