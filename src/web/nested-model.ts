import { DataFile, type Progress, type ReadOptions } from './data-file.js';
import { sha256 } from './digest.js';
import { type DownloadOptions, fetchWhole } from './download.js';
import { NestedError } from './errors.js';
import { graphOf, type Manifest } from './manifest.js';
import { browserStore, type Store } from './store.js';

/** What a session states of an input. */
export interface InputLike {
  readonly name: string;
  readonly type?: string;
  readonly shape?: readonly (number | string)[];
}

/** The part of an ONNX Runtime Web session that is used. */
export interface SessionLike<T> {
  readonly inputNames: readonly string[];
  readonly outputNames: readonly string[];
  readonly inputMetadata?: readonly InputLike[];
  run(feeds: Readonly<Record<string, T>>): Promise<Readonly<Record<string, T>>>;
  release(): Promise<void>;
}

/** The part of the module `onnxruntime-web` that is used. */
export interface RuntimeLike<T> {
  readonly InferenceSession: {
    create(graph: Uint8Array, options: Record<string, unknown>): Promise<SessionLike<T>>;
  };
}

/** Options of `openNested`. */
export interface OpenOptions<T> {
  /** The module `onnxruntime-web`. */
  readonly ort: RuntimeLike<T>;
  /** Precision in bits, or the name of a mix; default the smallest. */
  readonly bits?: number | string;
  /** Called while the data file is downloaded. */
  readonly onProgress?: (progress: Progress) => void;
  /** Aborts downloads. */
  readonly signal?: AbortSignal;
  /** Options for `InferenceSession.create`, such as `executionProviders`. */
  readonly session?: Readonly<Record<string, unknown>>;
  /** Default: Cache Storage. */
  readonly store?: Store;
  /** How broken connections are taken up. */
  readonly download?: Pick<DownloadOptions, 'attempts' | 'delay' | 'stall'>;
}

/** A set with one open session. `upgrade` changes the precision while the caller keeps its cache tensors. */
export class NestedModel<T> {
  readonly manifest: Manifest;
  readonly #url: string;
  readonly #options: OpenOptions<T>;
  readonly #store: Store;
  readonly #data: DataFile;
  #session: SessionLike<T> | undefined;
  #isClosed = false;
  #name = '';
  /** ONNX Runtime Web runs, opens and releases one at a time. */
  #free: Promise<unknown> = Promise.resolve();
  #upgraded: Promise<unknown> = Promise.resolve();

  constructor(url: string, manifest: Manifest, options: OpenOptions<T>) {
    this.manifest = manifest;
    this.#url = url;
    this.#options = options;
    this.#store = options.store ?? browserStore();
    this.#data = new DataFile(new URL(manifest.data, url).href, manifest.pieces, this.#store, options.download ?? {});
  }

  /** Name of the model that answers now, such as `int2`. */
  get model(): string {
    return this.#name;
  }

  /** The open session; it is another one after an upgrade. Fails with `closed`. */
  get session(): SessionLike<T> {
    return this.#session ?? closed();
  }

  /** Runs the model of the present precision. Feeds and results are the caller's: a cache goes on through an upgrade. */
  run(feeds: Readonly<Record<string, T>>): Promise<Readonly<Record<string, T>>> {
    return this.#alone(() => this.session.run(feeds));
  }

  /**
   * Goes to another precision: fetches what is missing, checks its digests, opens the new session and only then gives up the old
   * one; meanwhile the old one answers. After an error it stays. Several calls are carried out one after the other.
   */
  upgrade(bits: number | string, options: ReadOptions = {}): Promise<void> {
    const result = this.#upgraded.then(() => this.#exchange(bits, options));
    this.#upgraded = result.catch(() => undefined);
    return result;
  }

  /** Releases the session and the memory of the data; what is stored stays. */
  close(): Promise<void> {
    this.#isClosed = true;
    return this.#alone(async () => {
      const session = this.#session;
      this.#session = undefined;
      this.#data.clear();
      await session?.release();
    });
  }

  async #exchange(bits: number | string, options: ReadOptions): Promise<void> {
    const graph = graphOf(this.manifest, bits);
    if (graph.name === this.#name) return;
    options.signal?.throwIfAborted();
    const bytes = await this.#fetchGraph(graph, options.signal);
    const data = await this.#data.read(graph.bytesNeeded, options);
    await this.#alone(async () => {
      if (this.#isClosed) closed();
      const next = await this.#options.ort.InferenceSession.create(bytes, {
        ...this.#options.session,
        externalData: [{ path: this.manifest.data, data }],
      });
      const old = this.#session;
      this.#session = next;
      this.#name = graph.name;
      // The runtime has copied the weights.
      this.#data.release();
      await old?.release();
    });
  }

  async #fetchGraph({ file, sha256: digest }: Manifest['graphs'][number], signal?: AbortSignal): Promise<Uint8Array> {
    const stored = digest && (await this.#store.read(digest));
    if (stored && (await sha256(stored)) === digest) return stored;
    const url = new URL(file, this.#url).href;
    const bytes = await fetchWhole(url, signal);
    if (digest === undefined) return bytes;
    if ((await sha256(bytes)) !== digest) throw new NestedError('digest', `${url} is not the graph of this set`);
    await this.#store.write(digest, bytes);
    return bytes;
  }

  #alone<R>(work: () => Promise<R>): Promise<R> {
    const result = this.#free.then(work);
    this.#free = result.catch(() => undefined);
    return result;
  }
}

function closed(): never {
  throw new NestedError('closed', 'The model is closed');
}
