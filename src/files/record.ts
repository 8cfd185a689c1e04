/**
 * Records: results that took long, kept in files that later runs read. Each has the digest of its contents and is checked whenever
 * it is read; one that was damaged is never taken for a result. Written and read in pieces, so that a record may be of any size.
 */
import { createHash, type Hash } from 'node:crypto';
import { closeSync, fstatSync, openSync } from 'node:fs';
import { CompilerError, fail } from '../diagnostics.js';
import type { Log } from '../log.js';
import {
  countOf,
  DIGEST_AT,
  headerBytes,
  type PlacedPart,
  parseHeader,
  placeParts,
  type RecordArray,
  type RecordHeader,
  type RecordName,
  type RecordPart,
  unsign,
} from './record-header.js';
import { bytesOf, readFully, writeFully } from './transfer.js';

export type { RecordArray, RecordName, RecordPart } from './record-header.js';

const PIECE = 4 << 20;
/** No record has more to say of itself. */
const LONGEST_HEADER = 64 << 20;

/** Writes a record whose arrays arrive in pieces, in their order. */
export class RecordWriter {
  readonly #descriptor: number;
  readonly #hash: Hash = createHash('sha256');
  readonly #path: string;
  #open: number;

  /** Makes the file. `path` is a staged name: the caller renames it after `finish`. */
  constructor(path: string, name: RecordName, facts: unknown, parts: readonly RecordPart[]) {
    const placed = placeParts(parts);
    const header = headerBytes(name, facts, placed);
    this.#path = path;
    this.#open = placed.at(-1)?.end ?? 0;
    this.#descriptor = openSync(path, 'w');
    this.#write(header);
  }

  /** Adds the next bytes of the arrays. */
  append(data: ArrayBufferView): void {
    this.#open -= data.byteLength;
    this.#write(bytesOf(data));
  }

  /** Puts the digest in and closes the file. */
  finish(): void {
    if (this.#open !== 0) throw new Error(`${this.#path} lacks ${this.#open} bytes`);
    writeFully(this.#descriptor, Buffer.from(this.#hash.digest('hex')), DIGEST_AT);
    closeSync(this.#descriptor);
  }

  /** Closes the file after an error. */
  abandon(): void {
    closeSync(this.#descriptor);
  }

  #write(bytes: Uint8Array): void {
    this.#hash.update(bytes);
    writeFully(this.#descriptor, bytes);
  }
}

/** An array to write; float64 numbers may be rounded to float32 on the way. */
export interface RecordColumn {
  readonly name: string;
  readonly data: RecordArray;
  readonly as?: 'F32';
}

/** Writes a record at a staged path. */
export function writeRecord(path: string, name: RecordName, facts: unknown, columns: readonly RecordColumn[]): void {
  const parts = columns.map((column) => ({ name: column.name, dtype: typeOf(column), shape: [column.data.length] }));
  const writer = new RecordWriter(path, name, facts, parts);
  try {
    for (const { data, as } of columns) {
      if (as === undefined) writer.append(data);
      else
        for (let at = 0; at < data.length; at += PIECE / 4)
          writer.append(Float32Array.from(data.subarray(at, at + PIECE / 4)));
    }
    writer.finish();
  } catch (error) {
    writer.abandon();
    throw error;
  }
}

function typeOf({ data, as }: RecordColumn): RecordPart['dtype'] {
  if (as !== undefined || data instanceof Float32Array) return 'F32';
  return data instanceof Float64Array ? 'F64' : 'U8';
}

/** What a record holds. */
export interface RecordContents {
  readonly facts: unknown;
  readonly arrays: ReadonlyMap<string, RecordArray>;
}

/**
 * Reads a record. `widen` names arrays that are read into float64. Error code `file-missing` when there is no such file,
 * `damaged-file` when it is not as it was written or belongs to something else.
 */
export function readRecord(path: string, name: RecordName, widen: readonly string[] = []): RecordContents {
  const arrays = new Map<string, RecordArray>();
  const header = scan(path, name, ({ name: part, dtype, shape, start }) => {
    const make = dtype === 'U8' ? Uint8Array : dtype === 'F64' || widen.includes(part) ? Float64Array : Float32Array;
    const array = new make(countOf(shape));
    arrays.set(part, array);
    if (dtype !== 'F32' || array instanceof Float32Array) return (bytes, at) => bytesOf(array).set(bytes, at - start);
    // Pieces start at a multiple of four bytes from the beginning of the array.
    return (bytes, at) => array.set(new Float32Array(Uint8Array.from(bytes).buffer), (at - start) / 4);
  });
  return { facts: header.facts, arrays };
}

/** Where the bytes of the first array begin, after all of the record was checked. Errors as of `readRecord`. */
export function checkRecord(path: string, name: RecordName): number {
  return scan(path, name, () => () => undefined).start;
}

/** The decoded record of a file; undefined when there is none, or a damaged one: this is said, and the result is made again. */
export function findRecord<T>(
  path: string,
  name: RecordName,
  log: Log,
  decode: (contents: RecordContents) => T,
): T | undefined {
  return unlessDamaged(path, log, () => decode(readRecord(path, name)));
}

/** What `read` returns; undefined when there is no file, or a damaged one, which is said. */
export function unlessDamaged<T>(path: string, log: Log | undefined, read: () => T): T | undefined {
  try {
    return read();
  } catch (error) {
    if (!(error instanceof CompilerError)) throw error;
    if (error.code === 'file-missing') return undefined;
    if (error.code !== 'damaged-file') throw error;
    log?.warn(`${path}: ${error.message}; it is made again [damaged-file].`);
    return undefined;
  }
}

type Sink = (bytes: Uint8Array, at: number) => void;

/** Reads a record once from end to end, gives the bytes of each part to its sink, and checks the digest. */
function scan(
  path: string,
  name: RecordName,
  sinkOf: (part: PlacedPart) => Sink,
): RecordHeader & { readonly start: number } {
  const descriptor = openRecord(path);
  try {
    const hash = createHash('sha256');
    const { header, start } = readHeader(descriptor, path, hash);
    const piece = new Uint8Array(PIECE);
    for (const part of header.parts) {
      const sink = sinkOf(part);
      for (let at = part.start; at < part.end; at += PIECE) {
        const bytes = piece.subarray(0, Math.min(PIECE, part.end - at));
        if (readFully(descriptor, bytes, start + at) < bytes.length) damaged(path);
        hash.update(bytes);
        sink(bytes, at);
      }
    }
    if (hash.digest('hex') !== header.sha256) damaged(path);
    if (header.kind !== name.kind || header.key !== name.key)
      fail('damaged-file', path, 'The contents of the file do not match its name');
    return { ...header, start };
  } finally {
    closeSync(descriptor);
  }
}

function openRecord(path: string): number {
  try {
    return openSync(path, 'r');
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    return fail('file-missing', path, `The file cannot be opened (${code ?? String(error)})`);
  }
}

function readHeader(
  descriptor: number,
  path: string,
  hash: Hash,
): { readonly header: RecordHeader; readonly start: number } {
  const stats = fstatSync(descriptor);
  if (!stats.isFile()) fail('damaged-file', path, 'This is not a file');
  const length = Buffer.alloc(8);
  if (readFully(descriptor, length, 0) < 8) damaged(path);
  const start = 8 + Number(length.readBigUInt64LE());
  if (start > stats.size || start > LONGEST_HEADER || start < DIGEST_AT + 64) damaged(path);
  const bytes = new Uint8Array(start);
  if (readFully(descriptor, bytes, 0) < start) damaged(path);
  const header = parseHeader(bytes, stats.size - start) ?? damaged(path);
  unsign(bytes);
  hash.update(bytes);
  return { header, start };
}

const damaged = (path: string): never => fail('damaged-file', path, 'The file is not as it was written');
