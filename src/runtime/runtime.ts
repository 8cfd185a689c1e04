/**
 * The port to a runtime that executes ONNX graphs. Everything outside this folder speaks to these types; the one
 * implementation is `ort.ts`. Sessions hold native memory until they are closed.
 */
import { bytesOf } from '../files/transfer.js';
import { type DType, elementCount } from '../onnx/ir/dtype.js';
import { toFloat32 } from '../onnx/ir/half.js';

/** Numbers of one tensor at the edge of a session. float16 and bfloat16 travel as their bit patterns. */
export type HostData =
  | Float32Array
  | Float64Array
  | BigInt64Array
  | BigUint64Array
  | Int32Array
  | Uint32Array
  | Int16Array
  | Uint16Array
  | Int8Array
  | Uint8Array;

/** A tensor at the edge of a session; `data` holds the elements row by row. */
export interface HostTensor {
  readonly dtype: DType;
  /** Dimensions, outermost first; [] is a scalar. */
  readonly dims: readonly number[];
  readonly data: HostData;
}

/** What a graph says of one of its inputs or outputs; a dimension that is a string is chosen at run time. */
export interface TensorInfo {
  readonly name: string;
  readonly dtype: DType;
  readonly dims: readonly (number | string)[];
}

export interface OpenOptions {
  /** Threads inside one operator. Default: all cores. */
  readonly threads?: number;
  /** Graph rewriting at load. Default: all. */
  readonly optimization?: 'all' | 'extended' | 'basic' | 'disabled';
  /** Note which nodes run, see `Session.executed`. */
  readonly traced?: boolean;
  /** Largest output in bytes that is computed once when the session is made; the runtime's own limit by default. */
  readonly foldLimit?: number;
  /** Lowest precision the activations of a quantized product may be reduced to (4 = int8), for graphs that leave it open. */
  readonly accuracyLevel?: number;
  /** Plan one block of memory for inputs of equal shapes. Default: true. */
  readonly memoryPattern?: boolean;
  /** Keep freed memory for the next run. Off gives memory back after each run and is slower. Default: true. */
  readonly arena?: boolean;
}

export type Feeds = Readonly<Record<string, HostTensor>>;
export type Outputs = Readonly<Record<string, HostTensor>>;

/** A node that ran, as it stood when the runtime had rewritten the graph. */
export interface ExecutedNode {
  readonly name: string;
  readonly op: string;
  /** Bytes of its outputs in the run that made most. */
  readonly outputBytes: number;
}

export interface Session {
  /** The path, or `model` for bytes: the place in error messages. */
  readonly at: string;
  readonly inputs: readonly TensorInfo[];
  readonly outputs: readonly TensorInfo[];
  /** Computes `fetches`, or every output. Fails with `runtime-failed`. */
  run(feeds: Feeds, fetches?: readonly string[]): Promise<Outputs>;
  /** The nodes that ran so far, of a session opened with `traced`. Ends the noting. */
  executed?(): readonly ExecutedNode[];
  /** Frees the native memory; calling it again does nothing. */
  close(): Promise<void>;
}

export interface Runtime {
  /** Opens a model. Pass a path when there is external data: the runtime maps it instead of reading it. */
  open(model: string | Uint8Array, options?: OpenOptions): Promise<Session>;
}

/** Opens a model, hands it to `use`, and closes it whatever happens. */
export async function withSession<T>(
  runtime: Runtime,
  model: string | Uint8Array,
  options: OpenOptions,
  use: (session: Session) => Promise<T>,
): Promise<T> {
  const session = await runtime.open(model, options);
  try {
    return await use(session);
  } finally {
    await session.close();
  }
}

/** A float32 tensor; one dimension unless told. */
export function floats(data: Float32Array, dims: readonly number[] = [data.length]): HostTensor {
  return { dtype: 'float32', dims, data };
}

/** The numbers of a float tensor. Shares memory with it for float32. */
export const numbersOf = ({ dtype, data }: HostTensor): Float32Array => toFloat32(bytesOf(data), dtype);

/** An int64 tensor; one dimension unless told. */
export function integers(values: ArrayLike<number>, dims: readonly number[] = [values.length]): HostTensor {
  const data = new BigInt64Array(values.length);
  for (let at = 0; at < data.length; at++) data[at] = BigInt(values[at] as number);
  return { dtype: 'int64', dims, data };
}

const EMPTY: Partial<Record<DType, (length: number) => HostData>> = {
  float32: (length) => new Float32Array(length),
  float64: (length) => new Float64Array(length),
  float16: (length) => new Uint16Array(length),
  bfloat16: (length) => new Uint16Array(length),
  int64: (length) => new BigInt64Array(length),
  uint64: (length) => new BigUint64Array(length),
  int32: (length) => new Int32Array(length),
  uint32: (length) => new Uint32Array(length),
  int16: (length) => new Int16Array(length),
  uint16: (length) => new Uint16Array(length),
  int8: (length) => new Int8Array(length),
  uint8: (length) => new Uint8Array(length),
  bool: (length) => new Uint8Array(length),
};

/** A tensor of zeros, or undefined for a type that cannot cross the edge of a session. */
export function zeros(dtype: DType, dims: readonly number[]): HostTensor | undefined {
  const data = EMPTY[dtype]?.(elementCount(dims));
  return data && { dtype, dims, data };
}

/** An integer tensor of `dtype` (int64, int32, float32 or bool) with the given values, or undefined for another type. */
export function counts(dtype: DType, values: ArrayLike<number>, dims: readonly number[]): HostTensor | undefined {
  if (dtype === 'int64') return integers(values, dims);
  if (dtype === 'int32') return { dtype, dims, data: Int32Array.from(values) };
  if (dtype === 'float32') return { dtype, dims, data: Float32Array.from(values) };
  if (dtype === 'bool') return { dtype, dims, data: Uint8Array.from(values) };
  return undefined;
}
