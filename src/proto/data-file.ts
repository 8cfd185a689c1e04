/** A file that tensors are read from: opened on the first read, closed on request, never read as a whole. */
import { closeSync, fstatSync, openSync, readSync, type Stats, statSync } from 'node:fs';
import { type ErrorCode, fail } from '../diagnostics.js';
import { type Payload, rangeOf } from './payload.js';

export class DataFile implements Payload {
  readonly path: string;
  readonly length: number;
  readonly #missing: ErrorCode;
  readonly #identity: string;
  #descriptor: number | undefined;

  /** `path` must be a regular file; devices and pipes could block for ever. `missing` is the code of what is wrong with it. */
  constructor(path: string, missing: ErrorCode = 'file-missing') {
    const stats = guarded(() => statSync(path), path, missing);
    if (!stats.isFile()) fail(missing, path, 'not a regular file');
    this.path = path;
    this.#missing = missing;
    this.length = stats.size;
    this.#identity = identityOf(stats);
  }

  read(start: number, end: number, into?: Uint8Array): Uint8Array {
    if (end > this.length) fail('truncated', this.path, `the file has ${this.length} bytes, byte ${end} is needed`);
    const bytes = into?.subarray(0, end - start) ?? new Uint8Array(end - start);
    const descriptor = this.#open();
    for (let done = 0; done < bytes.length; ) {
      const count = readSync(descriptor, bytes, done, Math.min(bytes.length - done, 1 << 30), start + done);
      if (count === 0) fail('truncated', this.path, `the file has become shorter than ${end} bytes`);
      done += count;
    }
    return bytes;
  }

  /** Releases the file; a later read opens it again. */
  close(): void {
    if (this.#descriptor !== undefined) closeSync(this.#descriptor);
    this.#descriptor = undefined;
  }

  #open(): number {
    if (this.#descriptor !== undefined) return this.#descriptor;
    const descriptor = guarded(() => openSync(this.path, 'r'), this.path, this.#missing);
    // A file that was replaced meanwhile would give wrong weights without any sign.
    if (identityOf(fstatSync(descriptor)) !== this.#identity) {
      closeSync(descriptor);
      fail(this.#missing, this.path, 'the file has changed since the model was read');
    }
    this.#descriptor = descriptor;
    return descriptor;
  }
}

/** The files of one model, by real path, so that equal ranges are one object. */
export class DataFiles {
  readonly #files: Map<string, DataFile> = new Map();
  readonly #ranges: Map<string, Payload> = new Map();

  file(path: string, missing?: ErrorCode): DataFile {
    const known = this.#files.get(path);
    if (known !== undefined) return known;
    const opened = new DataFile(path, missing);
    this.#files.set(path, opened);
    return opened;
  }

  /** The one object for these bytes of this file. */
  range(path: string, offset: number, length: number): Payload {
    const key = `${offset}:${length}:${path}`;
    const known = this.#ranges.get(key) ?? rangeOf(this.file(path), offset, length);
    this.#ranges.set(key, known);
    return known;
  }

  close(): void {
    for (const file of this.#files.values()) file.close();
  }
}

function guarded<T>(action: () => T, path: string, code: ErrorCode): T {
  try {
    return action();
  } catch (error) {
    return fail(code, path, `the file cannot be opened (${(error as NodeJS.ErrnoException).code ?? String(error)})`);
  }
}

const identityOf = (stats: Stats): string => `${stats.dev}:${stats.ino}:${stats.size}:${stats.mtimeMs}`;
