/**
 * `onnx-matquant/web`: a nested set in the browser. The smallest model runs after the first part of the data file has arrived;
 * larger precisions fetch only the planes that they add. ONNX Runtime Web is given by the caller, so its version and its
 * backend are the page's choice.
 */
import { sha256 } from './digest.js';
import { type DownloadOptions, download } from './download.js';
import { NestedError } from './errors.js';
import { graphOf, type Manifest, type Piece, readManifest } from './manifest.js';
import { browserStore, type Store } from './store.js';

export type { DownloadOptions } from './download.js';
export { NestedError, type NestedErrorCode } from './errors.js';
export type { Manifest, Piece } from './manifest.js';
export { browserStore, noStore, type Store } from './store.js';

/** The part of an ONNX Runtime Web session that is used. */
export interface SessionLike<T> {
  readonly inputNames: readonly string[];
  readonly outputNames: readonly string[];
  run(feeds: Readonly<Record<string, T>>): Promise<Readonly<Record<string, T>>>;
  release(): Promise<void>;
}

/** The part of the module `onnxruntime-web` that is used. */
export interface RuntimeLike<T> {
  readonly InferenceSession: {
    create(graph: Uint8Array, options: Record<string, unknown>): Promise<SessionLike<T>>;
  };
}

/** Progress of a download, in bytes of the data file. */
export interface Progress {
  /** Bytes that have arrived. */
  readonly loaded: number;
  /** Bytes that the precision needs. */
  readonly total: number;
  /** False when the server sends whole files only, so that a larger precision downloads the beginning again. */
  readonly ranges: boolean;
}

/** Options of `openNested`. */
export interface OpenOptions<T> {
  /** The module `onnxruntime-web`. */
  readonly ort: RuntimeLike<T>;
  /** Precision in bits, or the name of a mix; the smallest model by default. */
  readonly bits?: number | string;
  /** Called while the data file is downloaded. */
  readonly onProgress?: (progress: Progress) => void;
  /** Aborts downloads. */
  readonly signal?: AbortSignal;
  /** Options for `InferenceSession.create`, such as `executionProviders`. */
  readonly session?: Readonly<Record<string, unknown>>;
  /** Where downloaded parts are kept; Cache Storage by default. */
  readonly store?: Store;
  /** How interrupted downloads are retried. */
  readonly download?: Pick<DownloadOptions, 'attempts' | 'delay'>;
}

/** Opens the set whose manifest is at `url`, at the smallest precision or the given one. Fails with a `NestedError`. */
export async function openNested<T>(url: string | URL, options: OpenOptions<T>): Promise<NestedModel<T>> {
  const address = String(url);
  const response = await fetch(address, { signal: options.signal ?? null });
  if (!response.ok) throw new NestedError('http', `${address}: the server answered ${response.status}`);
  const manifest = readManifest(await response.json().catch(() => undefined), address);
  const model = new NestedModel<T>(address, manifest, options);
  const smallest = manifest.graphs.reduce((least, each) => (each.bytesNeeded < least.bytesNeeded ? each : least));
  await model.upgrade(options.bits ?? smallest.name, options);
  return model;
}

/** A set with one open session. `upgrade` changes the precision while the caller keeps its cache tensors. */
export class NestedModel<T> {
  readonly manifest: Manifest;
  readonly #url: string;
  readonly #options: OpenOptions<T>;
  readonly #store: Store;
  /** The longest prefix of the data file that was fetched: whole pieces, checked. */
  #prefix: Uint8Array = new Uint8Array(0);
  #session: SessionLike<T> | undefined;
  #name = '';
  /** The last run, which an exchange waits for. */
  #running: Promise<unknown> = Promise.resolve();

  constructor(url: string, manifest: Manifest, options: OpenOptions<T>) {
    this.manifest = manifest;
    this.#url = url;
    this.#options = options;
    this.#store = options.store ?? browserStore();
  }

  /** Name of the current model, such as `int2`. */
  get model(): string {
    return this.#name;
  }

  /** The open session. */
  get session(): SessionLike<T> {
    if (this.#session === undefined) throw new Error('the model is closed');
    return this.#session;
  }

  /** Runs the model of the present precision. Feeds and results are the caller's: a cache goes on through an upgrade. */
  run(feeds: Readonly<Record<string, T>>): Promise<Readonly<Record<string, T>>> {
    const result = this.session.run(feeds);
    this.#running = result.catch(() => undefined);
    return result;
  }

  /**
   * Goes to another precision: fetches the pieces that are missing, checks their digests, opens the new session and only then
   * gives up the old one. After an error the old one stays.
   */
  async upgrade(
    bits: number | string,
    { onProgress, signal }: Pick<OpenOptions<T>, 'onProgress' | 'signal'> = {},
  ): Promise<void> {
    const graph = graphOf(this.manifest, bits);
    if (graph.name === this.#name) return;
    const [bytes, data] = await Promise.all([
      this.#fetchGraph(graph, signal),
      this.#fetchPrefix(graph.bytesNeeded, onProgress, signal),
    ]);
    const next = await this.#options.ort.InferenceSession.create(bytes, {
      ...this.#options.session,
      externalData: [{ path: this.manifest.data, data }],
    });
    await this.#running;
    const old = this.#session;
    this.#session = next;
    this.#name = graph.name;
    await old?.release();
  }

  /** Releases the session and the memory of the data; what is stored stays. */
  async close(): Promise<void> {
    await this.#running;
    await this.#session?.release();
    this.#session = undefined;
    this.#prefix = new Uint8Array(0);
  }

  async #fetchGraph(graph: Manifest['graphs'][number], signal: AbortSignal | undefined): Promise<Uint8Array> {
    const url = new URL(graph.file, this.#url).href;
    const response = await fetch(url, { signal: signal ?? null });
    if (!response.ok) throw new NestedError('http', `${url}: the server answered ${response.status}`);
    const bytes = new Uint8Array(await response.arrayBuffer());
    if (graph.sha256 !== undefined && (await sha256(bytes)) !== graph.sha256)
      throw new NestedError('digest', `${url} is not the graph of this set`);
    return bytes;
  }

  /** The first bytes of the data file, from memory, the store, or the network. */
  async #fetchPrefix(
    length: number,
    onProgress: ((progress: Progress) => void) | undefined,
    signal: AbortSignal | undefined,
  ): Promise<Uint8Array> {
    const known = this.#prefix;
    if (length <= known.length) return known.subarray(0, length);
    const prefix = new Uint8Array(length);
    prefix.set(known);
    const state = { loaded: known.length, ranges: true };
    const onBytes = (bytes: number): void => {
      state.loaded += bytes;
      onProgress?.({ loaded: state.loaded, total: length, ranges: state.ranges });
    };
    const onWholeFile = (): void => {
      state.ranges = false;
    };
    for (const piece of this.manifest.pieces) {
      if (piece.start < known.length || piece.start >= length) continue;
      const target = prefix.subarray(piece.start, piece.end);
      if (await this.#takeStored(piece, target)) onBytes(target.length);
      else await this.#fetchPiece(piece, target, { signal, onBytes, onWholeFile });
    }
    this.#prefix = prefix;
    return prefix;
  }

  /** Copies a piece from the store; one that is damaged there counts as missing. */
  async #takeStored({ sha256: expected }: Piece, target: Uint8Array): Promise<boolean> {
    const bytes = await this.#store.read(expected);
    if (bytes?.length !== target.length || (await sha256(bytes)) !== expected) return false;
    target.set(bytes);
    return true;
  }

  async #fetchPiece(piece: Piece, target: Uint8Array, options: DownloadOptions): Promise<void> {
    const { data } = this.manifest;
    await download(new URL(data, this.#url).href, piece.start, target, { ...this.#options.download, ...options });
    if ((await sha256(target)) !== piece.sha256)
      throw new NestedError('digest', `Bytes ${piece.start} to ${piece.end} of ${data} are not those of this set`);
    await this.#store.write(piece.sha256, target);
  }
}
