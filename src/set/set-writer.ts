/**
 * Writes the data file of a nested set. Every range is known beforehand, so parts arrive in any order and one at a time:
 * memory holds one projection. Padding is zero; the same parts give the same bytes whatever their order.
 */
import { createHash } from 'node:crypto';
import { closeSync, ftruncateSync, openSync } from 'node:fs';
import { readExactly } from '../files/transfer.js';
import { WriteBehind } from '../files/write-behind.js';
import type { Tensor } from '../onnx/ir/tensor.js';
import type { CodedColumn, StoredTable } from '../quant/compress.js';
import {
  type ColumnPlace,
  type ProjectionPlace,
  placeBlocks,
  type Range,
  type Section,
  type SetLayout,
  type TablePlace,
} from '../quant/layout.js';
import { packPlane } from '../quant/planes.js';

/** What a solved projection brings. */
export interface ProjectionParts {
  /** Parent codes [n, k], 8 bits. */
  readonly codes: Uint8Array;
  /** By precision of the projection's chain; for `tied` one entry, the parent's α under the lowest precision. */
  readonly tables: ReadonlyMap<number, StoredTable>;
  /** Zero points of the parent [n, columns]; `tied` only. */
  readonly zero?: Uint8Array;
}

/** A section with the SHA-256 of its bytes, from the end of the one before. */
export interface DigestedSection extends Section {
  readonly sha256: string;
}

/** What was written: the layout with the element types the tables really have, and digests. */
export interface WrittenSet {
  readonly layout: SetLayout;
  /** The tensors that are not quantized: everything before the first section. */
  readonly restSha256: string;
  readonly sections: readonly DigestedSection[];
}

const STEP = 8 << 20;

export class SetWriter {
  readonly #layout: SetLayout;
  readonly #path: string;
  readonly #descriptor: number;
  readonly #behind: WriteBehind;
  readonly #missing: Set<string>;
  readonly #places: Map<string, ProjectionPlace>;

  /** Makes the file at its full length, or opens a complete one to exchange tables. `path` is a staged name: the caller renames it. */
  constructor(path: string, layout: SetLayout, kind: 'new' | 'complete' = 'new') {
    this.#layout = layout;
    this.#path = path;
    this.#places = new Map(layout.projections.map((place) => [place.id, place]));
    const parts = [...this.#places.keys(), ...layout.rest.map((_, index) => `rest ${index}`)];
    this.#missing = new Set(kind === 'new' ? parts : []);
    this.#descriptor = openSync(path, kind === 'new' ? 'wx+' : 'r+');
    this.#behind = new WriteBehind(this.#descriptor);
    if (kind === 'new') ftruncateSync(this.#descriptor, layout.byteLength);
  }

  /** Streams a tensor that is not quantized; `index` is its position in the layout's rest. */
  writeRest(index: number, tensor: Tensor): void {
    const range = this.#layout.rest[index];
    if (range === undefined || range.length !== tensor.byteLength)
      throw new Error(`rest ${index} does not fit the layout`);
    for (let at = 0; at < range.length; at += STEP) {
      const end = Math.min(at + STEP, range.length);
      this.#write(tensor.bytes(at, end), { offset: range.offset + at, length: end - at });
    }
    this.#missing.delete(`rest ${index}`);
  }

  /** Writes the planes and tables of one projection. */
  writeProjection(id: string, parts: ProjectionParts): void {
    const place = this.#places.get(id);
    if (place === undefined || parts.codes.length !== place.n * place.k)
      throw new Error(`${id} does not fit the layout`);
    const blocks = placeBlocks(place);
    for (const plane of place.planes) this.#write(packPlane(parts.codes, place.n, blocks, plane), plane);
    const tables = place.tables.map((table) => this.#writeTable(place, table, parts));
    this.#places.set(id, { ...place, tables });
    this.#missing.delete(id);
  }

  /** Writes other codes over those of a projection; the tables stay. */
  writeCodes(id: string, codes: Uint8Array): void {
    const place = this.#places.get(id);
    if (place === undefined || codes.length !== place.n * place.k) throw new Error(`${id} does not fit the layout`);
    const blocks = placeBlocks(place);
    for (const plane of place.planes) this.#write(packPlane(codes, place.n, blocks, plane), plane);
  }

  /** Writes other tables over those of a projection; the codes stay. */
  writeTables(id: string, stored: ReadonlyMap<number, StoredTable>): void {
    const place = this.#places.get(id);
    if (place === undefined) throw new Error(`${id} does not fit the layout`);
    const parts: ProjectionParts = { codes: new Uint8Array(0), tables: stored };
    const tables = place.tables.map((table) =>
      stored.has(table.bits) ? this.#writeTable(place, table, parts) : table,
    );
    this.#places.set(id, { ...place, tables });
  }

  /** Checks that everything has been written, digests it and closes the file. */
  finish(): WrittenSet {
    const [missing] = this.#missing;
    if (missing !== undefined) throw new Error(`${missing} was not written`);
    this.#behind.finish();
    const ends = this.#layout.sections.map((section) => section.end);
    const [rest, ...digests] = digestRanges(this.#descriptor, this.#path, [
      this.#layout.sections[0]?.start ?? 0,
      ...ends,
    ]);
    closeSync(this.#descriptor);
    const projections = this.#layout.projections.map(({ id }) => this.#places.get(id) as ProjectionPlace);
    const sections = this.#layout.sections.map((section, i) => ({ ...section, sha256: digests[i] as string }));
    return { layout: { ...this.#layout, projections }, restSha256: rest as string, sections };
  }

  /** Closes the file after an error. */
  abandon(): void {
    this.#behind.abandon();
    closeSync(this.#descriptor);
  }

  #writeTable(place: ProjectionPlace, table: TablePlace, parts: ProjectionParts): TablePlace {
    const stored = parts.tables.get(table.bits);
    if (stored === undefined) throw new Error(`${place.id} has no int${table.bits} table`);
    const scale = this.#writeColumn(table.scale, stored.scale, place.id);
    const offset = table.offset && this.#writeColumn(table.offset, stored.offset ?? zeroLike(stored.scale), place.id);
    if (table.zero !== undefined) {
      if (parts.zero === undefined) throw new Error(`${place.id} has no zero points`);
      this.#write(parts.zero, table.zero);
    }
    if (table.bias !== undefined) this.#write(stored.bias ?? new Uint16Array(place.n), table.bias);
    return { ...table, scale, ...(offset === undefined ? {} : { offset }) };
  }

  #writeColumn(column: ColumnPlace, values: Uint16Array | CodedColumn, id: string): ColumnPlace {
    if (values instanceof Uint16Array) {
      if (column.supers !== undefined) throw new Error(`${id} has float16 tables, the set 8-bit ones`);
      this.#write(values, column);
      return column;
    }
    if (column.supers === undefined) throw new Error(`${id} has 8-bit tables, the set float16 ones`);
    const padded = new Uint8Array(column.length);
    padded.set(bytesOf(values.codes));
    this.#write(padded, column);
    this.#write(values.supers, column.supers);
    return { ...column, dtype: values.codes instanceof Int8Array ? 'int8' : 'uint8' };
  }

  #write(data: ArrayBufferView, range: Range): void {
    const bytes = bytesOf(data);
    if (bytes.length !== range.length) throw new Error(`${bytes.length} bytes for a range of ${range.length}`);
    this.#behind.write(bytes, range.offset);
  }
}

/** SHA-256 of [0, ends[0]), [ends[0], ends[1]), … of an open file. */
export function digestRanges(descriptor: number, at: string, ends: readonly number[]): readonly string[] {
  const piece = new Uint8Array(STEP);
  let start = 0;
  return ends.map((end) => {
    const hash = createHash('sha256');
    for (; start < end; start = Math.min(start + STEP, end)) {
      hash.update(readExactly(descriptor, start, Math.min(start + STEP, end), at, piece));
    }
    return hash.digest('hex');
  });
}

const bytesOf = (data: ArrayBufferView): Uint8Array => new Uint8Array(data.buffer, data.byteOffset, data.byteLength);

/** A table without offsets in a set that stores them: all offsets are zero. */
function zeroLike(scale: Uint16Array | CodedColumn): Uint16Array | CodedColumn {
  if (scale instanceof Uint16Array) return new Uint16Array(scale.length);
  return { codes: new Int8Array(scale.codes.length), supers: new Uint16Array(scale.supers.length) };
}
