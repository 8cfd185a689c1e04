/** From solved projections to what the data file of a set holds. */
import { compressTable, type StoredTable, type TableForm } from './compress.js';
import type { ProjectionPlace, SetLayout } from './layout.js';
import { centre, type DecodeTable } from './tables.js';

/** A solved projection: parent codes [n, k], its grid and a table per precision, entries [n, columns]. */
export interface SolvedParts {
  /** 8-bit codes, or codes of the only precision of the set. */
  readonly codes: Uint8Array;
  readonly parent: { readonly scale: Float32Array; readonly zero: ArrayLike<number> };
  readonly tables: ReadonlyMap<number, DecodeTable>;
}

/** What the writer of the data file takes. */
export interface StoredParts {
  /** Parent codes, 8 bits wide: codes of fewer bits are top-aligned. */
  readonly codes: Uint8Array;
  readonly tables: ReadonlyMap<number, StoredTable>;
  readonly zero?: Uint8Array;
}

/** Brings a solved projection into the stored form. */
export function storedParts(solved: SolvedParts, place: ProjectionPlace, layout: SetLayout): StoredParts {
  const codes = topAligned(solved.codes, layout);
  if (layout.decode === 'tied') return { codes, ...tiedParts(solved, place, layout.tables) };
  const tables = new Map<number, StoredTable>();
  for (const { bits } of place.tables) {
    const table = solved.tables.get(bits);
    if (table === undefined) throw new Error(`${place.id} was not solved for int${bits}`);
    const { scale, offset } = centre(table, bits);
    tables.set(bits, compressTable({ scale, offset: kept(offset, layout) }, layout.tables, `${place.id} int${bits}`));
  }
  return { codes, tables };
}

/** `mid` and `signed` imply their offsets; what float32 left of them is not stored. */
function kept(offset: Float32Array, { decode }: SetLayout): Float32Array {
  return decode === 'ab' ? offset : new Float32Array(offset.length);
}

function tiedParts(solved: SolvedParts, place: ProjectionPlace, form: TableForm): Omit<StoredParts, 'codes'> {
  const [table] = place.tables;
  const { scale, zero } = solved.parent;
  if (table === undefined) throw new Error(`${place.id} has no table`);
  const stored = compressTable({ scale, offset: new Float32Array(scale.length) }, form, place.id);
  const tables = new Map([[table.bits, stored]]);
  return table.zero === undefined ? { tables } : { tables, zero: Uint8Array.from(zero) };
}

/** A set of one precision below 8 is solved with codes of that width. */
function topAligned(codes: Uint8Array, { bits }: SetLayout): Uint8Array {
  const [only] = bits;
  if (bits.length > 1 || only === undefined || only === 8) return codes;
  return codes.map((code) => code << (8 - only));
}
