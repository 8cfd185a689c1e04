/**
 * Operands of the kernels live in one shared memory. The arena hands out aligned ranges of it, first fit, and grows it when
 * nothing fits. Only the main thread allocates. Views go stale when the memory grows: take them late, keep them short.
 */
import { fail } from '../diagnostics.js';
import { ARENA_START, MAXIMUM_PAGES } from './loader.js';

const PAGE = 65_536;
const ALIGNMENT = 64;

interface Range {
  start: number;
  end: number;
}

export class Arena {
  readonly memory: WebAssembly.Memory;
  /** Free ranges in ascending order, never touching one another. */
  readonly #free: Range[] = [];
  readonly #used = new Map<number, number>();

  constructor() {
    this.memory = new WebAssembly.Memory({ initial: 1, maximum: MAXIMUM_PAGES, shared: true });
  }

  /** Bytes handed out and not yet released. */
  get used(): number {
    return [...this.#used.values()].reduce((sum, bytes) => sum + bytes, 0);
  }

  /** The address of `bytes` bytes, aligned to 64, contents undefined. */
  allocate(bytes: number): number {
    const size = Math.max(ALIGNMENT, Math.ceil(bytes / ALIGNMENT) * ALIGNMENT);
    const index = this.#free.findIndex((range) => range.end - range.start >= size);
    const range = this.#free[index];
    if (range === undefined) {
      this.#grow(size);
      return this.allocate(bytes);
    }
    const start = range.start;
    range.start += size;
    if (range.start === range.end) this.#free.splice(index, 1);
    this.#used.set(start, size);
    return start;
  }

  /** Gives a range back. */
  release(address: number): void {
    const size = this.#used.get(address);
    if (size === undefined) throw new Error(`no allocation at ${address}`);
    this.#used.delete(address);
    this.#insert({ start: address, end: address + size });
  }

  floats(address: number, count: number): Float32Array {
    return new Float32Array(this.memory.buffer, address, count);
  }

  doubles(address: number, count: number): Float64Array {
    return new Float64Array(this.memory.buffer, address, count);
  }

  words(address: number, count: number): Int32Array {
    return new Int32Array(this.memory.buffer, address, count);
  }

  bytes(address: number, count: number): Uint8Array {
    return new Uint8Array(this.memory.buffer, address, count);
  }

  /** Stores floats. */
  place(values: Float32Array): number {
    const address = this.allocate(values.byteLength);
    this.floats(address, values.length).set(values);
    return address;
  }

  /** Stores 32-bit words; addresses beyond 2^31 wrap to the same bits. */
  plan(words: readonly number[]): number {
    const address = this.allocate(words.length * 4);
    this.words(address, words.length).set(words.map((word) => word | 0));
    return address;
  }

  #grow(size: number): void {
    const end = this.memory.buffer.byteLength;
    const last = this.#free.at(-1);
    const missing = size - (last !== undefined && last.end === end ? end - last.start : 0);
    const pages = Math.max(Math.ceil(missing / PAGE), Math.min(256, Math.ceil(end / PAGE / 8)));
    try {
      this.memory.grow(pages);
    } catch {
      fail('memory', 'solver', `${Math.ceil(missing / 1e6)} MB more than the 4 GiB of the kernels are needed`);
    }
    this.#insert({ start: Math.max(end, ARENA_START), end: this.memory.buffer.byteLength });
  }

  #insert(range: Range): void {
    const index = this.#free.findIndex((other) => other.start > range.start);
    const at = index < 0 ? this.#free.length : index;
    this.#free.splice(at, 0, range);
    this.#merge(at);
    this.#merge(at - 1);
  }

  /** Joins free range `index` with its successor where they touch. */
  #merge(index: number): void {
    const range = this.#free[index];
    const next = this.#free[index + 1];
    if (range === undefined || next === undefined || range.end !== next.start) return;
    range.end = next.end;
    this.#free.splice(index + 1, 1);
  }
}
