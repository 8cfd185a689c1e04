/**
 * A segment's models on disk: small graph files that point into one file of weights, which is written once per segment and
 * mapped by the runtime. Nothing of it is kept in memory here; everything is removed with the folder.
 */
import { closeSync, mkdirSync, openSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fail } from '../diagnostics.js';
import { writeFully } from '../files/transfer.js';
import { modelBytes, type Placement } from '../onnx/convert/export.js';
import type { Model } from '../onnx/ir/graph.js';
import type { Tensor } from '../onnx/ir/tensor.js';

/** Smaller tensors stay in the graph file. */
const SMALLEST_EXTERNAL = 1024;
const PAGE = 4096;
const CHUNK = 1 << 22;

export class SegmentFiles {
  readonly #folder: string;
  /** By storage: tensors that share their bytes are written once. */
  readonly #placed: Map<object, Placement[]> = new Map();
  readonly #piece: Uint8Array = new Uint8Array(CHUNK);
  #descriptor: number | undefined;
  #position = 0;
  #serial = 0;

  constructor(folder: string) {
    this.#folder = folder;
  }

  /** Writes a model and the weights that are not there yet; returns the path to open. */
  write(model: Model): string {
    try {
      mkdirSync(this.#folder, { recursive: true });
      const bytes = modelBytes(model, (tensor) => this.#place(tensor));
      const path = join(this.#folder, `segment-${this.#serial++}.onnx`);
      writeFileSync(path, bytes);
      return path;
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ENOSPC') throw error;
      return fail('disk-full', this.#folder, 'there is no room for the weights of a segment');
    }
  }

  close(): void {
    if (this.#descriptor !== undefined) closeSync(this.#descriptor);
    this.#descriptor = undefined;
    rmSync(this.#folder, { recursive: true, force: true });
  }

  #place(tensor: Tensor): Placement | undefined {
    if (tensor.byteLength < SMALLEST_EXTERNAL || tensor.strings !== undefined) return undefined;
    const earlier = this.#placed.get(tensor.storage) ?? [];
    const same = earlier.find((placement) => placement.length === tensor.byteLength);
    if (same !== undefined) return same;
    const location = 'weights.bin';
    this.#descriptor ??= openSync(join(this.#folder, location), 'wx');
    this.#position = Math.ceil(this.#position / PAGE) * PAGE;
    const placement = { location, offset: this.#position, length: tensor.byteLength };
    for (let at = 0; at < tensor.byteLength; at += CHUNK) {
      this.#write(this.#descriptor, tensor.bytes(at, Math.min(at + CHUNK, tensor.byteLength), this.#piece));
    }
    this.#placed.set(tensor.storage, [...earlier, placement]);
    return placement;
  }

  #write(descriptor: number, bytes: Uint8Array): void {
    writeFully(descriptor, bytes, this.#position);
    this.#position += bytes.length;
  }
}
