/** Tensors to messages: each is placed in the message, in the new data file, or in a file that someone else writes. */
import { fail } from '../../diagnostics.js';
import type { Payload } from '../../files/payload.js';
import { DTYPES } from '../ir/dtype.js';
import type { Tensor } from '../ir/tensor.js';
import { externalEntries } from '../proto/external-data.js';
import { ExternalWriter, sha1Of } from '../proto/external-writer.js';
import { copyOf, EXTERNAL, long, type StringStringEntryProto, type TensorProto } from '../proto/messages.js';
import type { DataDigest } from './model-record.js';
import { tensorOrigins } from './origins.js';

/** A range of a data file beside the graph, under a bare name or a path below it. */
export interface Placement {
  readonly location: string;
  readonly offset: number;
  readonly length: number;
}

/** Says where the bytes of a tensor are already; undefined leaves the decision to the exporter. */
export type Placements = (tensor: Tensor) => Placement | undefined;

export interface TensorPlacing {
  /** Smallest size in bytes that goes to the data file. */
  readonly threshold: number;
  /** The data file to write; undefined keeps everything in the message that has no placement. */
  readonly dataFile?: { readonly name: string; readonly path: string };
  readonly placements?: Placements;
  /** Digest the data file while it is written. */
  readonly digested?: boolean;
}

/** Fields of a tensor message that say what its elements are. */
const DATA_FIELDS = {
  rawData: undefined,
  payload: undefined,
  floatData: undefined,
  doubleData: undefined,
  int32Data: undefined,
  int64Data: undefined,
  uint64Data: undefined,
  externalData: undefined,
  dataLocation: undefined,
} as const satisfies Partial<Record<keyof TensorProto, undefined>>;

/** Smaller tensors are copied into the message, larger ones are streamed. */
const STREAM_FROM = 1024;

export class TensorExporter {
  readonly #placing: TensorPlacing;
  #writer: ExternalWriter | undefined;
  /** Entries that get the digest of the data file once it is complete. */
  readonly #digested: StringStringEntryProto[][] = [];

  constructor(placing: TensorPlacing) {
    this.#placing = placing;
  }

  /** The message of an initializer. */
  initializer(tensor: Tensor, name: string): TensorProto {
    return copyOf(this.#message(tensor, true), { name });
  }

  /**
   * The message of an attribute's tensor, which keeps the name it came with. ONNX Runtime reads external data in the
   * attributes of Constant nodes only, hence `mayBeExternal`.
   */
  attribute(tensor: Tensor, mayBeExternal: boolean): TensorProto {
    return this.#message(tensor, mayBeExternal);
  }

  /** Completes the data file. Returns its length and its digest, empty unless asked for, or undefined when nothing was written to one. */
  finish(): DataDigest | undefined {
    const writer = this.#writer;
    const file = this.#placing.dataFile;
    if (writer === undefined || file === undefined) return undefined;
    this.#writer = undefined;
    writer.close();
    if (this.#digested.length > 0) {
      const checksum = sha1Of(file.path);
      for (const entries of this.#digested) entries.push({ key: 'checksum', value: checksum });
    }
    return { end: writer.length, sha256: writer.digest };
  }

  /** Closes the data file after an error. */
  abandon(): void {
    this.#writer?.close();
    this.#writer = undefined;
  }

  #message(tensor: Tensor, mayBeExternal: boolean): TensorProto {
    const origin = tensorOrigins.get(tensor);
    if (tensor.strings !== undefined) return origin ?? { ...described(tensor), stringData: [...tensor.strings] };
    const base = origin === undefined ? described(tensor) : copyOf(origin, DATA_FIELDS);
    const external = mayBeExternal ? this.#place(tensor, origin) : undefined;
    if (external !== undefined) return copyOf(base, { dataLocation: EXTERNAL, externalData: external });
    if (origin !== undefined && hasTypedData(origin)) return origin;
    return copyOf(base, bytesOf(tensor));
  }

  #place(tensor: Tensor, origin: TensorProto | undefined): StringStringEntryProto[] | undefined {
    const placed = this.#placing.placements?.(tensor);
    if (placed !== undefined) {
      if (placed.length !== tensor.byteLength) {
        fail(
          'tensor-size',
          placed.location,
          `[${tensor.shape}] of ${tensor.dtype} takes ${tensor.byteLength} bytes, not ${placed.length}`,
        );
      }
      return externalEntries(placed.location, placed.offset, placed.length);
    }
    const file = this.#placing.dataFile;
    if (file === undefined || tensor.byteLength < this.#placing.threshold || tensor.byteLength === 0) return undefined;
    this.#writer ??= new ExternalWriter(file.path, this.#placing.digested);
    const { offset, length } = this.#writer.add(payloadOf(tensor), tensor.storage);
    const entries = externalEntries(file.name, offset, length);
    if (origin?.externalData?.some((entry) => entry.key === 'checksum')) this.#digested.push(entries);
    return entries;
  }
}

function described(tensor: Tensor): TensorProto {
  return { dims: tensor.shape.map(long), dataType: DTYPES[tensor.dtype].onnx };
}

function hasTypedData(origin: TensorProto): boolean {
  const fields = [origin.floatData, origin.doubleData, origin.int32Data, origin.int64Data, origin.uint64Data];
  return fields.some((field) => (field?.length ?? 0) > 0) && !origin.rawData?.length && origin.payload === undefined;
}

function bytesOf(tensor: Tensor): Partial<TensorProto> {
  if (tensor.byteLength >= STREAM_FROM) return { payload: payloadOf(tensor) };
  const origin = tensorOrigins.get(tensor);
  // A tensor without elements may come with empty raw_data or with nothing; both stay.
  if (tensor.byteLength === 0 && origin !== undefined)
    return origin.rawData === undefined ? {} : { rawData: origin.rawData };
  return { rawData: tensor.bytes() };
}

function payloadOf(tensor: Tensor): Payload {
  return { length: tensor.byteLength, read: (start, end, into) => tensor.bytes(start, end, into) };
}
