/** Rows of activations that a block is trained on: in memory up to a bound, beyond it in a file that is read by row. */
import { closeSync, mkdirSync, openSync, rmSync } from 'node:fs';
import { dirname } from 'node:path';
import { fail } from '../../diagnostics.js';
import { bytesOf, readFully, writeFully } from '../../files/transfer.js';

/** What a block is trained on. */
export interface BlockRows {
  /** The block's input in the float model. */
  readonly float: RowStore;
  /** The same positions behind quantized layers, where the student reads those. */
  readonly student?: RowStore | undefined;
}

export class RowStore {
  readonly width: number;
  /** Rank of the activations that the rows are taken from. */
  readonly rank: number;
  readonly #path: string;
  readonly #limit: number;
  readonly #parts: { readonly first: number; readonly rows: Float32Array }[] = [];
  #held = 0;
  #count = 0;
  #descriptor: number | undefined;
  /** Rows that are in memory; the others follow in the file. */
  #kept = 0;

  /** `path` is used when more than `limit` bytes come. */
  constructor(width: number, rank: number, path: string, limit: number) {
    this.width = width;
    this.rank = rank;
    this.#path = path;
    this.#limit = limit;
  }

  get count(): number {
    return this.#count;
  }

  /** Adds whole rows, which are copied. */
  append(rows: Float32Array): void {
    const added = rows.length / this.width;
    if (!Number.isInteger(added)) throw new RangeError(`${rows.length} numbers are no rows of ${this.width}`);
    if (this.#descriptor === undefined && this.#held + rows.byteLength <= this.#limit) {
      this.#parts.push({ first: this.#count, rows: rows.slice() });
      this.#held += rows.byteLength;
      this.#kept += added;
    } else this.#spill(rows);
    this.#count += added;
  }

  /** The rows with these numbers, one after another. */
  gather(indices: readonly number[]): Float32Array {
    const out = new Float32Array(indices.length * this.width);
    indices.forEach((index, at) => this.#read(index, out.subarray(at * this.width, (at + 1) * this.width)));
    return out;
  }

  close(): void {
    this.#parts.length = 0;
    if (this.#descriptor === undefined) return;
    closeSync(this.#descriptor);
    this.#descriptor = undefined;
    rmSync(this.#path, { force: true });
  }

  #spill(rows: Float32Array): void {
    try {
      if (this.#descriptor === undefined) mkdirSync(dirname(this.#path), { recursive: true });
      this.#descriptor ??= openSync(this.#path, 'w+');
      writeFully(this.#descriptor, bytesOf(rows));
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ENOSPC') throw error;
      fail('disk-full', this.#path, 'there is no room for the activations of the calibration text');
    }
  }

  #read(index: number, target: Float32Array): void {
    if (!(index >= 0 && index < this.#count)) throw new RangeError(`there is no row ${index}`);
    if (index >= this.#kept) {
      const bytes = bytesOf(target);
      const count = readFully(this.#descriptor as number, bytes, (index - this.#kept) * 4 * this.width);
      if (count < bytes.length) fail('truncated', this.#path, 'A work file was cut short while it was in use');
      return;
    }
    const part = this.#parts.findLast(({ first }) => first <= index);
    if (part === undefined) throw new RangeError(`there is no row ${index}`);
    const start = (index - part.first) * this.width;
    target.set(part.rows.subarray(start, start + this.width));
  }
}
