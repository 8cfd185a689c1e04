/**
 * Activations that wait between two segments: in memory up to a bound, beyond it in files of a work folder.
 * One file per value; a batch is written and read whole. Dropping a value frees its memory and removes its file.
 */
import { closeSync, mkdirSync, openSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { fail } from '../diagnostics.js';
import { bytesOf, readFully, writeFully } from '../files/transfer.js';
import type { DType } from '../onnx/ir/dtype.js';

/** One value of one batch of windows. */
export interface Activation {
  readonly dtype: DType;
  readonly dims: readonly number[];
  readonly data: ArrayBufferView;
}

/** Bytes that stores may hold together. */
export class MemoryBudget {
  readonly limit: number;
  used: number = 0;

  constructor(limit: number) {
    this.limit = limit;
  }
}

/** Where a batch is: in memory, or at an offset of the value's file. */
type Held =
  | { readonly kind: 'memory'; readonly activation: Activation }
  | { readonly kind: 'file'; readonly at: Filed };

interface Filed {
  readonly dtype: DType;
  readonly dims: readonly number[];
  readonly make: (bytes: Uint8Array<ArrayBuffer>) => ArrayBufferView;
  readonly offset: number;
  readonly length: number;
}

type Spilled = { readonly path: string; size: number };

export class ActivationStore {
  readonly #folder: string;
  readonly #budget: MemoryBudget;
  readonly #held: Map<string, Map<number, Held>> = new Map();
  readonly #files: Map<string, Spilled> = new Map();
  #serial = 0;

  /** `folder` belongs to the store alone: it is made when something spills, and removed by `close`. */
  constructor(folder: string, budget: MemoryBudget) {
    this.#folder = folder;
    this.#budget = budget;
  }

  /** Number of bytes on disk, for tests and reports. */
  get spilledBytes(): number {
    return [...this.#files.values()].reduce((total, file) => total + file.size, 0);
  }

  async put(name: string, batch: number, activation: Activation): Promise<void> {
    const batches = this.#held.get(name) ?? new Map<number, Held>();
    this.#held.set(name, batches);
    if (batches.has(batch)) throw new Error(`batch ${batch} of ${name} is stored already`);
    const bytes = activation.data.byteLength;
    if (this.#budget.used + bytes <= this.#budget.limit) {
      this.#budget.used += bytes;
      batches.set(batch, { kind: 'memory', activation });
      return;
    }
    batches.set(batch, { kind: 'file', at: this.#write(name, activation) });
  }

  /** Whether a batch of a value is stored. */
  has(name: string, batch: number): boolean {
    return this.#held.get(name)?.has(batch) ?? false;
  }

  async get(name: string, batch: number): Promise<Activation> {
    const held = this.#held.get(name)?.get(batch);
    if (held === undefined) throw new Error(`batch ${batch} of ${name} is not stored`);
    if (held.kind === 'memory') return held.activation;
    const { dtype, dims, make, offset, length } = held.at;
    const descriptor = openSync(this.#files.get(name)?.path ?? '', 'r');
    try {
      const bytes = new Uint8Array(length);
      if (readFully(descriptor, bytes, offset) < length)
        fail('runtime-failed', this.#folder, 'a file of activations was cut short while it was in use');
      return { dtype, dims, data: make(bytes) };
    } finally {
      closeSync(descriptor);
    }
  }

  /** Frees one batch that nobody will read again; its place in a file stays until the value is dropped. */
  release(name: string, batch: number): void {
    const held = this.#held.get(name)?.get(batch);
    if (held?.kind === 'memory') this.#budget.used -= held.activation.data.byteLength;
    this.#held.get(name)?.delete(batch);
  }

  /** Frees every batch of a value. */
  async drop(name: string): Promise<void> {
    for (const batch of [...(this.#held.get(name)?.keys() ?? [])]) this.release(name, batch);
    this.#held.delete(name);
    const file = this.#files.get(name);
    this.#files.delete(name);
    if (file !== undefined) await rm(file.path, { force: true });
  }

  /** Frees everything and removes the folder. */
  async close(): Promise<void> {
    for (const name of [...this.#held.keys()]) await this.drop(name);
    await rm(this.#folder, { recursive: true, force: true });
  }

  #write(name: string, { dtype, dims, data }: Activation): Filed {
    const known = this.#files.get(name);
    const target = known ?? { path: join(this.#folder, `activation-${this.#serial++}.bin`), size: 0 };
    this.#files.set(name, target);
    const offset = target.size;
    try {
      mkdirSync(this.#folder, { recursive: true });
      const descriptor = openSync(target.path, 'a');
      try {
        writeFully(descriptor, bytesOf(data));
      } finally {
        closeSync(descriptor);
      }
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ENOSPC') throw error;
      fail('disk-full', this.#folder, 'there is no room for the activations of the calibration text');
    }
    target.size += data.byteLength;
    return { dtype, dims, make: makerLike(data), offset, length: data.byteLength };
  }
}

/** Makes a view of the same class over fresh bytes. */
function makerLike(data: ArrayBufferView): (bytes: Uint8Array<ArrayBuffer>) => ArrayBufferView {
  const View = data.constructor as new (buffer: ArrayBuffer) => ArrayBufferView;
  return (bytes) => new View(bytes.buffer);
}
