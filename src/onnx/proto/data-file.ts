/**
 * A file that tensors are read from in ranges, never as a whole. It is opened for every read, which costs some microseconds: whoever
 * imports a model has nothing to close, and a file that was changed or replaced since is noticed at the next read.
 */
import { closeSync, openSync, statSync } from 'node:fs';
import { type ErrorCode, fail } from '../../diagnostics.js';
import { settledState, stateOf } from '../../files/file-state.js';
import { type Payload, rangeOf } from '../../files/payload.js';
import { readFully } from '../../files/transfer.js';

export class DataFile implements Payload {
  readonly path: string;
  readonly length: number;
  readonly #contents: string;

  /** `path` must be a regular file; devices and pipes could block for ever. `missing` is the code of what is wrong with it. */
  constructor(path: string, missing: ErrorCode = 'file-missing') {
    if (!guarded(() => statSync(path), path, missing).isFile()) fail(missing, path, 'not a regular file');
    const state = settledState(path) ?? fail(missing, path, 'the file cannot be opened');
    this.path = path;
    this.length = state.bytes;
    this.#contents = state.contents;
  }

  read(start: number, end: number, into?: Uint8Array): Uint8Array {
    if (end > this.length) fail('truncated', this.path, `the file has ${this.length} bytes, byte ${end} is needed`);
    const bytes = into?.subarray(0, end - start) ?? new Uint8Array(end - start);
    const descriptor = this.#open();
    try {
      if (readFully(descriptor, bytes, start) < bytes.length) changed(this.path);
      return bytes;
    } finally {
      closeSync(descriptor);
    }
  }

  /** A file that was changed meanwhile would give wrong weights without any sign. */
  #open(): number {
    const descriptor = guarded(() => openSync(this.path, 'r'), this.path, 'input-changed');
    if (stateOf(descriptor)?.contents === this.#contents) return descriptor;
    closeSync(descriptor);
    return changed(this.path);
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

  /** Every file that was asked for. */
  get paths(): readonly string[] {
    return [...this.#files.keys()];
  }
}

function guarded<T>(action: () => T, path: string, code: ErrorCode): T {
  try {
    return action();
  } catch (error) {
    return fail(code, path, `the file cannot be opened (${(error as NodeJS.ErrnoException).code ?? String(error)})`);
  }
}

const changed = (path: string): never => fail('input-changed', path, 'the file has changed since the model was read');
