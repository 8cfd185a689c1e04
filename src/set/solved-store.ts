/**
 * Solved projections as values: what each will store, by id. A store is read like the data file that will hold it, gives another
 * store where tables or codes learn, and goes to the writer when it is finished.
 */
import { createHash, type Hash } from 'node:crypto';
import { bytesOf } from '../files/transfer.js';
import type { DType } from '../onnx/ir/dtype.js';
import { lazyTensor, type Tensor } from '../onnx/ir/tensor.js';
import type { StoredTable } from '../quant/compress.js';
import { effectiveBits, type ProjectionPlace, type Range, type SetLayout, tableAt } from '../quant/layout.js';
import { rangesRead } from '../quant/layout-use.js';
import type { SetReader } from './packed.js';
import { type Kept, type KeptTables, PartsShelf } from './parts-shelf.js';
import {
  type Piece,
  type ProjectionParts,
  piecesOf,
  placesOf,
  type StoredProjection,
  typedPlace,
} from './stored-pieces.js';

/** What becomes of a projection that learned; what is absent stays. */
export interface LearnedParts {
  readonly codes?: Uint8Array | undefined;
  /** Tables of these precisions. */
  readonly tables?: ReadonlyMap<number, StoredTable> | undefined;
}

interface Entry {
  readonly place: ProjectionPlace;
  readonly codes: Kept<Uint8Array>;
  readonly tables: Kept<KeptTables>;
}

export class SolvedStore implements SetReader, AsyncIterable<StoredProjection> {
  /** The layout with the element types that the tables really have. */
  readonly layout: SetLayout;
  readonly #shelf: PartsShelf;
  readonly #entries: ReadonlyMap<string, Entry>;
  /** The projection at each offset of the data file. */
  readonly #owners: Map<number, Entry> = new Map();
  /** Pieces of the projection that was read last, by offset, and the bytes of those that were made. */
  #open:
    | { readonly entry: Entry; readonly pieces: ReadonlyMap<number, Piece>; readonly made: Map<number, Uint8Array> }
    | undefined;

  private constructor(layout: SetLayout, entries: ReadonlyMap<string, Entry>, shelf: PartsShelf) {
    const projections = layout.projections.map(({ id }) => (entries.get(id) ?? missing(id)).place);
    this.layout = { ...layout, projections };
    this.#entries = entries;
    this.#shelf = shelf;
    for (const entry of entries.values())
      for (const { offset } of rangesOf(entry.place, layout)) this.#owners.set(offset, entry);
  }

  /** Takes every projection of a layout. What does not fit `mostBytes` waits in files of a temporary folder inside `folder`. */
  static async of(
    layout: SetLayout,
    solved: AsyncIterable<StoredProjection>,
    folder: string,
    mostBytes?: number,
  ): Promise<SolvedStore> {
    const shelf = new PartsShelf(folder, mostBytes);
    const places = placesOf(layout);
    const entries = new Map<string, Entry>();
    try {
      for await (const { id, parts } of solved)
        entries.set(id, {
          place: typedPlace(places.get(id) ?? missing(id), parts),
          codes: shelf.keepCodes(parts.codes),
          tables: shelf.keepTables(parts),
        });
      return new SolvedStore(layout, entries, shelf);
    } catch (error) {
      shelf.close();
      throw error;
    }
  }

  /** The same store with other tables and codes. Both can be read until either is closed. */
  with(learned: Iterable<readonly [id: string, parts: LearnedParts]>): SolvedStore {
    const entries = new Map(this.#entries);
    for (const [id, { codes, tables }] of learned) {
      const { place, ...kept } = entries.get(id) ?? missing(id);
      const before = kept.tables.load();
      const after = { ...before, tables: new Map([...before.tables, ...(tables ?? [])]) };
      entries.set(id, {
        place: typedPlace(place, after),
        codes: codes === undefined ? kept.codes : this.#shelf.keepCodes(codes),
        tables: tables === undefined ? kept.tables : this.#shelf.keepTables(after),
      });
    }
    return new SolvedStore(this.layout, entries, this.#shelf);
  }

  /** What a projection stores. */
  parts(id: string): ProjectionParts {
    const { codes, tables } = this.#entries.get(id) ?? missing(id);
    return { codes: codes.load(), ...tables.load() };
  }

  /** A tensor over a range of the data file, made from the parts of its projection. */
  tensor(range: Range, dtype: DType, shape: readonly number[]): Tensor {
    return lazyTensor(dtype, shape, (start, end) => this.#bytesAt(range.offset).subarray(start, end));
  }

  /** SHA-256 of what the models of at most `bits` read. */
  digest(bits: number): string {
    const hash = createHash('sha256');
    for (const { place } of this.#entries.values()) this.#addDigest(hash, place, bits);
    return hash.digest('hex');
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<StoredProjection> {
    for (const id of this.#entries.keys()) yield { id, parts: this.parts(id) };
  }

  /** Removes what waits in files, of this store and of those that came from it. */
  close(): void {
    this.#open = undefined;
    this.#shelf.close();
  }

  #addDigest(hash: Hash, place: ProjectionPlace, bits: number): void {
    const read = this.layout.bits.filter((each) => each <= bits).map((each) => effectiveBits(place, each));
    const { codes, tables } = this.parts(place.id);
    const drop = 8 - Math.max(...read);
    hash.update(`${place.id} ${read}`).update(drop === 0 ? codes : codes.map((code) => code >> drop));
    for (const own of read) {
      const { scale, offset, bias } = tables.get(tableAt(place, own, this.layout.decode).bits) ?? missing(place.id);
      for (const column of [scale, offset, bias])
        if (column instanceof Uint16Array) hash.update(bytesOf(column));
        else if (column !== undefined) hash.update(bytesOf(column.codes)).update(bytesOf(column.supers));
    }
  }

  #bytesAt(offset: number): Uint8Array {
    const entry = this.#owners.get(offset);
    if (entry === undefined) throw new Error(`no projection has bytes at ${offset}`);
    if (this.#open?.entry !== entry) {
      const pieces = piecesOf(entry.place, this.parts(entry.place.id));
      this.#open = { entry, pieces: new Map(pieces.map((piece) => [piece.range.offset, piece])), made: new Map() };
    }
    const { pieces, made } = this.#open;
    const bytes = made.get(offset) ?? (pieces.get(offset) as Piece).bytes();
    made.set(offset, bytes);
    return bytes;
  }
}

/** Every range of a projection. */
const rangesOf = (place: ProjectionPlace, layout: SetLayout): readonly Range[] =>
  place.chain.flatMap((bits) => {
    const { planes, tables } = rangesRead(layout, place, bits);
    return [...planes, ...tables];
  });

function missing(id: string): never {
  throw new Error(`${id} was not solved`);
}
