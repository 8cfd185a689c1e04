/** Writes the bytes of tensors into one data file, one after another, in chunks: nothing is held as a whole. */
import { createHash, type Hash } from 'node:crypto';
import { closeSync, openSync } from 'node:fs';
import { CHUNK, chunksOf, type Payload } from '../../files/payload.js';
import { writeFully } from '../../files/transfer.js';
import { WriteBehind } from '../../files/write-behind.js';
import { DataFile } from './data-file.js';

/** Large tensors start at a page, so that a runtime can map them; small ones are packed, kept at 16 bytes for vector loads. */
const LARGE = 64 * 1024;
const PAGE = 4096;
const SMALL_ALIGNMENT = 16;

/** Where bytes are in the data file. */
export interface Placed {
  readonly offset: number;
  readonly length: number;
}

export class ExternalWriter {
  readonly #descriptor: number;
  readonly #behind: WriteBehind;
  readonly #placed: Map<object, Placed[]> = new Map();
  readonly #hash: Hash | undefined;
  #position = 0;

  /** With `digested`, the bytes are digested on their way. */
  constructor(path: string, digested = false) {
    this.#descriptor = openSync(path, 'wx');
    this.#hash = digested ? createHash('sha256') : undefined;
    this.#behind = new WriteBehind(this.#descriptor);
  }

  /** SHA-256 of all bytes in hex, to be asked for once; empty unless the file is digested. */
  get digest(): string {
    return this.#hash?.digest('hex') ?? '';
  }

  /** Bytes written so far. */
  get length(): number {
    return this.#position;
  }

  /** Appends the bytes, unless the same `storage` was written before. */
  add(payload: Payload, storage: object): Placed {
    const earlier = this.#placed.get(storage) ?? [];
    const same = earlier.find((placed) => placed.length === payload.length);
    if (same !== undefined) return same;
    this.#align(payload.length >= LARGE ? PAGE : SMALL_ALIGNMENT);
    const placed = { offset: this.#position, length: payload.length };
    const room = payload.length >= LARGE ? () => this.#behind.room() : undefined;
    for (const chunk of chunksOf(payload, room)) this.#write(chunk);
    this.#placed.set(storage, [...earlier, placed]);
    return placed;
  }

  /** Waits until everything is written, and closes the file. */
  close(): void {
    try {
      this.#behind.finish();
    } finally {
      closeSync(this.#descriptor);
    }
  }

  #align(alignment: number): void {
    const padding = (alignment - (this.#position % alignment)) % alignment;
    if (padding > 0) this.#write(new Uint8Array(padding));
  }

  #write(bytes: Uint8Array): void {
    this.#hash?.update(bytes);
    this.#behind.write(bytes, this.#position);
    this.#position += bytes.length;
  }
}

/** SHA-1 of a file in hex: the `checksum` of external data. */
export function sha1Of(path: string): string {
  const file = new DataFile(path);
  const hash = createHash('sha1');
  const into = Buffer.allocUnsafeSlow(CHUNK);
  for (const chunk of chunksOf(file, () => into)) hash.update(chunk);
  return hash.digest('hex');
}

/** Writes pieces to a new file one after another. */
export function writePieces(path: string, pieces: readonly Payload[]): void {
  const descriptor = openSync(path, 'wx');
  try {
    for (const run of runsOf(pieces)) writeFully(descriptor, run);
  } finally {
    closeSync(descriptor);
  }
}

/** Small pieces are gathered to 1 MiB, so that a graph of many small tensors does not cost a system call each. */
function* runsOf(pieces: readonly Payload[]): Generator<Uint8Array> {
  let run: Uint8Array[] = [];
  let length = 0;
  for (const piece of pieces) {
    for (const chunk of chunksOf(piece)) {
      run.push(chunk);
      length += chunk.length;
      if (length < 1 << 20) continue;
      yield run.length === 1 ? chunk : Buffer.concat(run, length);
      run = [];
      length = 0;
    }
  }
  if (length > 0) yield Buffer.concat(run, length);
}
