/** Tensors over ranges of a data file, and where they are: what links a graph to the data file of its set. */
import { closeSync, openSync } from 'node:fs';
import { readExactly } from '../files/transfer.js';
import type { Placement, Placements } from '../onnx/convert/export.js';
import { tensorOrigins } from '../onnx/convert/origins.js';
import type { DType } from '../onnx/ir/dtype.js';
import { lazyTensor, type Tensor } from '../onnx/ir/tensor.js';
import { externalRange } from '../onnx/proto/external-data.js';
import { EXTERNAL } from '../onnx/proto/messages.js';
import type { Range, SetLayout } from '../quant/layout.js';
import type { SetReader } from './packed.js';

export class SetTensors {
  readonly #location: string;
  readonly #path: string | undefined;
  readonly #placed: WeakMap<Tensor, Placement> = new WeakMap();
  readonly #storages: WeakMap<object, Placement> = new WeakMap();
  #descriptor: number | undefined;

  /** `location` is the bare name of the data file, `path` where it can be read; graphs can be written without reading it. */
  constructor(location: string, path?: string) {
    this.#location = location;
    this.#path = path;
  }

  /** A tensor over a range of the data file. Its bytes are read on demand. */
  tensor(range: Range, dtype: DType, shape: readonly number[]): Tensor {
    const tensor = lazyTensor(dtype, shape, (start, end, into) =>
      this.#read(range.offset + start, range.offset + end, into),
    );
    this.#placed.set(tensor, { location: this.#location, offset: range.offset, length: range.length });
    return tensor;
  }

  /** Reads what a layout places in the data file. */
  reader(layout: SetLayout): SetReader {
    return { layout, tensor: (range, dtype, shape) => this.tensor(range, dtype, shape) };
  }

  /** Says that the bytes of these tensors are the rest of the set, in the order of its layout. */
  placeRest(tensors: readonly Tensor[], layout: SetLayout): void {
    tensors.forEach((tensor, index) => {
      const range = layout.rest[index];
      if (range === undefined) throw new Error('the layout has fewer tensors than the rest of the model');
      this.#storages.set(tensor.storage, { location: this.#location, offset: range.offset, length: range.length });
    });
  }

  /** For the exporter: where a tensor is, when it is in the data file. */
  get placements(): Placements {
    return (tensor) => this.#placed.get(tensor) ?? this.#ofStorage(tensor);
  }

  close(): void {
    if (this.#descriptor !== undefined) closeSync(this.#descriptor);
    this.#descriptor = undefined;
  }

  #ofStorage(tensor: Tensor): Placement | undefined {
    const placement = this.#storages.get(tensor.storage);
    return placement?.length === tensor.byteLength ? placement : undefined;
  }

  #read(start: number, end: number, into?: Uint8Array): Uint8Array {
    if (this.#path === undefined) throw new Error(`the data of ${this.#location} cannot be read here`);
    this.#descriptor ??= openSync(this.#path, 'r');
    return readExactly(this.#descriptor, start, end, this.#path, into);
  }
}

/** Where an imported tensor lies, when it came with external data. */
export function originOf(tensor: Tensor): Placement | undefined {
  const origin = tensorOrigins.get(tensor);
  if (origin === undefined || origin.dataLocation !== EXTERNAL) return undefined;
  const { location, offset, length } = externalRange(origin, origin.name ?? '');
  return { location, offset, length: length ?? tensor.byteLength };
}
