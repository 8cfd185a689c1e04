/** Tensor messages to tensors: bytes stay in their file until someone reads them. */
import { fail } from '../../diagnostics.js';
import { bytesPayload, type Payload } from '../../files/payload.js';
import { byteLengthOf, type DType, dtypeOf } from '../ir/dtype.js';
import { lazyTensor, type Tensor, tensorOf } from '../ir/tensor.js';
import type { DataFiles } from '../proto/data-file.js';
import { externalRange, refuseOverlaps, resolveLocation, type TakenRange } from '../proto/external-data.js';
import { copyOf, EXTERNAL, type TensorProto } from '../proto/messages.js';
import { tensorOrigins } from './origins.js';
import { typedByteLength, typedBytes } from './typed-data.js';

/** Imports the tensors of one model file. */
export class TensorImporter {
  readonly #path: string | undefined;
  readonly #files: DataFiles;
  readonly #locations: Map<string, string> = new Map();
  readonly #taken: TakenRange[] = [];

  /** `path` of the model, which external data is relative to; undefined for a model in memory, which can have none. */
  constructor(path: string | undefined, files: DataFiles) {
    this.#path = path;
    this.#files = files;
  }

  /** The tensor of a message; `at` names it in errors. */
  tensor(message: TensorProto, at: string): Tensor {
    const dtype = dtypeOf(message.dataType ?? 0);
    if (dtype === undefined) fail('unknown-dtype', at, `element type ${message.dataType ?? 0} is not known`);
    const shape = shapeOf(message, dtype, at);
    const tensor = dtype === 'string' ? stringTensor(message, shape, at) : this.#numbers(message, dtype, shape, at);
    tensorOrigins.set(tensor, message);
    return tensor;
  }

  /** The message with its external data, if any, turned into a payload: the form that needs no model file beside it. */
  localised(message: TensorProto, at: string): TensorProto {
    if (message.dataLocation !== EXTERNAL) return message;
    const dtype = dtypeOf(message.dataType ?? 0);
    if (dtype === undefined) fail('unknown-dtype', at, `element type ${message.dataType ?? 0} is not known`);
    const payload = this.#external(message, byteLengthOf(dtype, shapeOf(message, dtype, at)), at);
    return copyOf(message, { dataLocation: undefined, externalData: undefined, payload });
  }

  /** To be called when all tensors are known. */
  finish(): void {
    refuseOverlaps(this.#taken);
  }

  #numbers(message: TensorProto, dtype: DType, shape: readonly number[], at: string): Tensor {
    const expected = byteLengthOf(dtype, shape);
    const payload = this.#payloadOf(message, expected, at);
    if (payload !== undefined) {
      refuseSize(payload.length, expected, dtype, shape, at);
      return lazyTensor(dtype, shape, (start, end, into) => payload.read(start, end, into), payload);
    }
    if (message.rawData && (message.rawData.length > 0 || typedByteLength(message, dtype) === 0)) {
      refuseSize(message.rawData.length, expected, dtype, shape, at);
      return tensorOf(dtype, shape, message.rawData);
    }
    refuseSize(typedByteLength(message, dtype), expected, dtype, shape, at);
    let bytes: Uint8Array | undefined;
    return lazyTensor(dtype, shape, (start, end) => {
      bytes ??= typedBytes(message, dtype);
      return bytes.subarray(start, end);
    });
  }

  #payloadOf(message: TensorProto, expected: number, at: string): Payload | undefined {
    return message.dataLocation === EXTERNAL ? this.#external(message, expected, at) : message.payload;
  }

  #external(message: TensorProto, expected: number, at: string): Payload {
    const range = externalRange(message, at);
    const path = this.#resolve(range.location, at);
    const length = range.length ?? expected;
    const file = this.#files.file(path, 'external-missing');
    if (range.offset + length > file.length) {
      const end = range.offset + length;
      fail('external-short', at, `its bytes end at ${end}, but ${path} has ${file.length} bytes`);
    }
    this.#taken.push({ at, path, offset: range.offset, length });
    return length === 0 ? bytesPayload(new Uint8Array(0)) : this.#files.range(path, range.offset, length);
  }

  #resolve(location: string, at: string): string {
    if (this.#path === undefined) fail('external-missing', at, 'a model in memory cannot have external data');
    const path = this.#locations.get(location) ?? resolveLocation(this.#path, location, at);
    this.#locations.set(location, path);
    return path;
  }
}

function shapeOf(message: TensorProto, dtype: DType, at: string): readonly number[] {
  const shape = (message.dims ?? []).map((dim) => dim.toNumber());
  const isValid = shape.every((dim) => Number.isSafeInteger(dim) && dim >= 0);
  if (!isValid || !Number.isSafeInteger(byteLengthOf(dtype, shape)))
    fail('tensor-size', at, `[${shape}] is not a shape`);
  return shape;
}

function refuseSize(actual: number, expected: number, dtype: DType, shape: readonly number[], at: string): void {
  if (actual === expected) return;
  fail('tensor-size', at, `[${shape}] of ${dtype} takes ${expected} bytes, but there are ${actual}`);
}

function stringTensor(message: TensorProto, shape: readonly number[], at: string): Tensor {
  const strings = message.stringData ?? [];
  const count = shape.reduce((product, dim) => product * dim, 1);
  if (strings.length !== count)
    fail('tensor-size', at, `[${shape}] takes ${count} strings, but there are ${strings.length}`);
  return { dtype: 'string', shape, byteLength: 0, bytes: () => new Uint8Array(0), storage: strings, strings };
}
