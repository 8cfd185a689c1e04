/** Tensors that wait in a file until they are placed: bytes are appended once, and read back in ranges. */
import { closeSync, openSync, rmSync } from 'node:fs';
import { fail } from '../diagnostics.js';
import { readFully, writeFully } from '../files/transfer.js';
import type { DType } from '../onnx/ir/dtype.js';
import { lazyTensor, type Tensor } from '../onnx/ir/tensor.js';

export class SpillFile {
  readonly #path: string;
  #descriptor: number | undefined;
  #length = 0;

  /** The file is made when something is appended. */
  constructor(path: string) {
    this.#path = path;
  }

  /** Bytes appended so far: where the next tensor begins. */
  get length(): number {
    return this.#length;
  }

  append(bytes: Uint8Array): void {
    this.#descriptor ??= openSync(this.#path, 'wx+');
    writeFully(this.#descriptor, bytes, this.#length);
    this.#length += bytes.length;
  }

  /** The tensor whose bytes were appended from `offset` on. It can be read until the file is closed. */
  tensor(dtype: DType, shape: readonly number[], offset: number): Tensor {
    return lazyTensor(dtype, shape, (start, end) => this.#read(offset + start, offset + end));
  }

  /** Removes the file. */
  close(): void {
    if (this.#descriptor === undefined) return;
    closeSync(this.#descriptor);
    this.#descriptor = undefined;
    rmSync(this.#path, { force: true });
  }

  #read(start: number, end: number): Uint8Array {
    if (this.#descriptor === undefined) throw new Error(`${this.#path} is closed`);
    const bytes = new Uint8Array(end - start);
    if (readFully(this.#descriptor, bytes, start) < bytes.length)
      fail('truncated', this.#path, 'A work file was cut short while it was in use');
    return bytes;
  }
}
