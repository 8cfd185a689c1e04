/** The beginning of a set's data file: from memory, the store, or the network, and checked. */
import { sha256 } from './digest.js';
import { type DownloadOptions, download } from './download.js';
import { NestedError } from './errors.js';
import type { Piece } from './manifest.js';
import type { Store } from './store.js';

/** Progress of a download, in bytes of the data file. */
export interface Progress {
  /** Bytes that are there, from wherever. */
  readonly loaded: number;
  /** Bytes that the precision needs. */
  readonly total: number;
  /** Bytes of `loaded` that came over the network in this call. */
  readonly fetched: number;
  /** False when the server sends whole files only, so that a larger precision downloads the beginning again. */
  readonly ranges: boolean;
}

/** Options of `upgrade`. */
export interface ReadOptions {
  readonly onProgress?: ((progress: Progress) => void) | undefined;
  readonly signal?: AbortSignal | undefined;
}

/** What is stored under one key. */
interface Part {
  readonly key: string;
  readonly start: number;
  readonly end: number;
}

/** Pieces are stored in parts of this many bytes: a download goes on after a reload. */
export const PART_BYTES: number = 8 * 2 ** 20;

function partsOf({ start, end, sha256: digest }: Piece): readonly Part[] {
  return Array.from({ length: Math.ceil((end - start) / PART_BYTES) }, (_, at) => {
    const from = start + at * PART_BYTES;
    return { key: `${digest}-${at}`, start: from, end: Math.min(from + PART_BYTES, end) };
  });
}

const sizeOf = (ranges: readonly { readonly start: number; readonly end: number }[]): number =>
  ranges.reduce((sum, { start, end }) => sum + end - start, 0);

/** Calls of `read` must not overlap. */
export class DataFile {
  readonly #url: string;
  readonly #pieces: readonly Piece[];
  readonly #store: Store;
  readonly #retry: DownloadOptions;
  #bytes: Uint8Array = new Uint8Array(0);
  /** Keys of the parts in `#bytes`, with whether the store has them, too. */
  readonly #filled = new Map<string, boolean>();
  /** Digests of checked pieces. */
  readonly #checked = new Set<string>();

  constructor(url: string, pieces: readonly Piece[], store: Store, retry: DownloadOptions) {
    this.#url = url;
    this.#pieces = pieces;
    this.#store = store;
    this.#retry = retry;
  }

  /** The first `length` bytes. Fails with `http`, `network`, `digest` or `memory`; what was fetched until then is kept. */
  async read(length: number, { onProgress, signal }: ReadOptions): Promise<Uint8Array> {
    const pieces = this.#pieces.filter(({ start }) => start < length);
    this.#grow(pieces.at(-1)?.end ?? 0);
    const missing = pieces.flatMap(partsOf).filter(({ key }) => !this.#filled.has(key));
    const total = sizeOf(pieces);
    const state = { loaded: total - sizeOf(missing), total, fetched: 0, ranges: true };
    const report = (loaded: number, fetched: number): void => {
      state.loaded += loaded;
      state.fetched += fetched;
      onProgress?.({ ...state });
    };
    const isWhole = (): void => {
      state.ranges = false;
    };
    const lacking: Part[] = [];
    for (const part of missing) {
      if (await this.#takeStored(part)) report(part.end - part.start, 0);
      else lacking.push(part);
    }
    const options = { ...this.#retry, signal, onWholeFile: isWhole };
    await this.#fetch(lacking, { ...options, onBytes: (bytes) => report(bytes, bytes) });
    for (const piece of pieces) {
      if (await this.#isRight(piece)) continue;
      await this.#drop(piece);
      // What comes from the store may have been damaged there.
      if (partsOf(piece).some((part) => !lacking.some(({ key }) => key === part.key))) {
        await this.#fetch(partsOf(piece), { ...options, onBytes: (bytes) => report(0, bytes) });
        if (await this.#isRight(piece)) continue;
        await this.#drop(piece);
      }
      throw new NestedError('digest', `Bytes ${piece.start} to ${piece.end} of ${this.#url} are not those of this set`);
    }
    return this.#bytes.subarray(0, length);
  }

  /** Gives up the memory, unless there are bytes that the store has not taken. */
  release(): void {
    if ([...this.#filled.values()].every((isStored) => isStored)) this.clear();
  }

  clear(): void {
    this.#bytes = new Uint8Array(0);
    this.#filled.clear();
    this.#checked.clear();
  }

  #grow(end: number): void {
    if (end <= this.#bytes.length) return;
    try {
      const longer = new Uint8Array(end);
      longer.set(this.#bytes);
      this.#bytes = longer;
    } catch {
      throw new NestedError('memory', `The browser has no ${end} bytes of memory for ${this.#url}`);
    }
  }

  async #takeStored({ key, start, end }: Part): Promise<boolean> {
    const bytes = await this.#store.read(key);
    if (bytes?.length !== end - start) return false;
    this.#bytes.set(bytes, start);
    this.#filled.set(key, true);
    return true;
  }

  /** Neighbours come with one request; each part is stored when it is complete. */
  async #fetch(parts: readonly Part[], options: DownloadOptions): Promise<void> {
    for (let first = 0; first < parts.length; ) {
      let last = first;
      while (parts[last + 1] !== undefined && parts[last + 1]?.start === parts[last]?.end) last++;
      const run = parts.slice(first, last + 1);
      const start = (run[0] as Part).start;
      let [end, next] = [start, 0];
      const onBytes = async (bytes: number): Promise<void> => {
        end += bytes;
        await options.onBytes?.(bytes);
        for (let part = run[next]; part !== undefined && part.end <= end; part = run[++next]) await this.#keep(part);
      };
      await download(this.#url, start, this.#bytes.subarray(start, run.at(-1)?.end), { ...options, onBytes });
      first = last + 1;
    }
  }

  async #keep({ key, start, end }: Part): Promise<void> {
    this.#filled.set(key, await this.#store.write(key, this.#bytes.subarray(start, end)));
  }

  async #isRight({ start, end, sha256: expected }: Piece): Promise<boolean> {
    if (this.#checked.has(expected)) return true;
    if ((await sha256(this.#bytes.subarray(start, end))) !== expected) return false;
    this.#checked.add(expected);
    return true;
  }

  async #drop(piece: Piece): Promise<void> {
    for (const { key } of partsOf(piece)) {
      this.#filled.delete(key);
      await this.#store.remove(key);
    }
  }
}
