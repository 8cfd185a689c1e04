/**
 * Input files under watch: nothing may change them between the first look and the last. Their bytes are read at all times, by this
 * program and by the runtime, so a change in between would give a result of neither the old nor the new contents.
 *
 * Every file has its state taken before anything is read, and is digested by a thread meanwhile. At the end the state must be the
 * same: then the digest is that of all that was read. Where only the time of change differs (permissions, another name, or contents
 * whose time was set back), the file is digested again, and must have the digest that was taken before.
 */
import { Worker } from 'node:worker_threads';
import { CompilerError } from '../diagnostics.js';
import { currentState, type FileState, settledState } from './file-state.js';
import { type HashedFile, hashFile } from './hash-file.js';

/** A file as it was read. */
export interface FileDigest {
  readonly path: string;
  readonly bytes: number;
  readonly sha256: string;
}

interface Watched {
  readonly path: string;
  readonly first: FileState;
  /** Undefined where states alone are compared. */
  readonly hashed: Promise<HashedFile> | undefined;
}

/** Smaller files are digested at once. */
const SMALL = 4 << 20;

export class InputWatch {
  readonly #files: Map<string, Watched> = new Map();
  readonly #waiting: Map<string, (hashed: HashedFile) => void> = new Map();
  readonly #digests: boolean;
  #worker: Worker | undefined;

  /** Without digests, states alone are compared. */
  constructor(digests: boolean = true) {
    this.#digests = digests;
  }

  /** Watches a file from now on. What is no regular file, such as a pipe, is read once and not watched. */
  add(path: string): void {
    if (this.#files.has(path)) return;
    const first = settledState(path);
    if (first === undefined) return;
    this.#files.set(path, { path, first, hashed: this.#digests ? this.#hash(path, first.bytes) : undefined });
  }

  /** The digests of files that are watched, in that order; those that are not are left out. */
  async digests(paths: readonly string[]): Promise<readonly FileDigest[]> {
    const files = paths.flatMap((path) => this.#files.get(path) ?? []);
    const digest = async ({ path, first, hashed }: Watched): Promise<FileDigest> => {
      const sha256 = (await hashed)?.sha256 ?? '';
      return { path, bytes: first.bytes, sha256 };
    };
    return Promise.all(files.map(digest));
  }

  /** What is wrong, with code `input-changed`, as far as the states of the files tell. */
  problem(): CompilerError | undefined {
    for (const { path, first } of this.#files.values()) {
      const now = currentState(path);
      if (now?.contents !== first.contents) return changed(path, now === undefined);
    }
    return undefined;
  }

  /** Fails with `input-changed` unless every file is as it was at first. */
  async check(): Promise<void> {
    for (const { path, first, hashed } of this.#files.values()) {
      const { before, after, sha256 } = (await hashed) ?? { before: first, after: first, sha256: '' };
      const now = currentState(path);
      const states = [before, after, now];
      if (states.some((state) => state?.contents !== first.contents)) throw changed(path, now === undefined);
      if (states.every((state) => state?.changed === first.changed)) continue;
      // Nobody knows what was there before.
      if (!this.#digests) throw changed(path, false);
      const isDigestOfFirst = after?.changed === first.changed;
      if (!isDigestOfFirst || hashFile(path).sha256 !== sha256) throw changed(path, false);
    }
  }

  /** Ends the thread. */
  close(): void {
    void this.#worker?.terminate();
    this.#worker = undefined;
  }

  #hash(path: string, bytes: number): Promise<HashedFile> {
    if (bytes <= SMALL) return Promise.resolve(hashNow(path));
    const worker = this.#worker ?? this.#start();
    return new Promise((resolve) => {
      this.#waiting.set(path, resolve);
      // Whoever waits for a digest may have nothing else that keeps the process alive.
      worker.ref();
      worker.postMessage(path);
    });
  }

  #start(): Worker {
    const worker = new Worker(new URL('./hash-worker.js', import.meta.url));
    worker.on('message', (hashed: HashedFile) => this.#found(hashed));
    // A thread that cannot run leaves the digests to this one.
    worker.on('error', () => {
      this.#worker = undefined;
      for (const path of [...this.#waiting.keys()]) this.#found(hashNow(path));
    });
    this.#worker = worker;
    return worker;
  }

  #found(hashed: HashedFile): void {
    this.#waiting.get(hashed.path)?.(hashed);
    this.#waiting.delete(hashed.path);
    if (this.#waiting.size === 0) this.#worker?.unref();
  }
}

function hashNow(path: string): HashedFile {
  try {
    return hashFile(path);
  } catch {
    return { path, sha256: '', before: undefined, after: undefined };
  }
}

const changed = (path: string, gone: boolean): CompilerError =>
  new CompilerError('input-changed', path, `The file was ${gone ? 'removed' : 'changed'} while it was being read`);
