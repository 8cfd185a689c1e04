/**
 * Writes the data file of a nested set. Every range is known beforehand, so parts arrive in any order and one at a time:
 * memory holds one projection. Padding is zero; the same parts give the same bytes whatever their order.
 */
import { createHash } from 'node:crypto';
import { closeSync, ftruncateSync, openSync } from 'node:fs';
import { readExactly } from '../files/transfer.js';
import { WriteBehind } from '../files/write-behind.js';
import type { Tensor } from '../onnx/ir/tensor.js';
import type { ProjectionPlace, Range, Section, SetLayout } from '../quant/layout.js';
import { type ProjectionParts, piecesOf, typedPlace } from './stored-pieces.js';
import { type PlacedTable, rangesOfTable } from './token-tables.js';

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

  /** Makes the file at its full length. `path` is a staged name: the caller renames it. */
  constructor(path: string, layout: SetLayout) {
    this.#layout = layout;
    this.#path = path;
    this.#places = new Map(layout.projections.map((place) => [place.id, place]));
    const tables = (layout.tokenTables ?? []).map(({ id }) => `table ${id}`);
    this.#missing = new Set([...this.#places.keys(), ...layout.rest.map((_, index) => `rest ${index}`), ...tables]);
    this.#descriptor = openSync(path, 'wx+');
    this.#behind = new WriteBehind(this.#descriptor);
    ftruncateSync(this.#descriptor, layout.byteLength);
  }

  /** Streams a tensor that is not quantized; `index` is its position in the layout's rest. */
  writeRest(index: number, tensor: Tensor): void {
    const range = this.#layout.rest[index];
    if (range === undefined || range.length !== tensor.byteLength)
      throw new Error(`rest ${index} does not fit the layout`);
    this.#stream(range, tensor);
    this.#missing.delete(`rest ${index}`);
  }

  /** Streams the planes of a token table, and writes its tables. */
  writeTable(table: PlacedTable): void {
    for (const { range, tensor } of rangesOfTable(table)) this.#stream(range, tensor);
    this.#missing.delete(`table ${table.place.id}`);
  }

  /** Writes the planes and tables of one projection. */
  writeProjection(id: string, parts: ProjectionParts): void {
    const place = this.#places.get(id);
    if (place === undefined) throw new Error(`${id} does not fit the layout`);
    for (const { range, bytes } of piecesOf(place, parts)) this.#write(bytes(), range);
    this.#places.set(id, typedPlace(place, parts));
    this.#missing.delete(id);
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

  #stream(range: Range, tensor: Tensor): void {
    for (let at = 0; at < range.length; at += STEP) {
      const end = Math.min(at + STEP, range.length);
      this.#write(tensor.bytes(at, end), { offset: range.offset + at, length: end - at });
    }
  }

  #write(bytes: Uint8Array, range: Range): void {
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
