/** The runtime port over onnxruntime-node (CPU): the only file that imports it. */
import { accessSync, constants } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname } from 'node:path';
import ort, { type InferenceSession, type Tensor } from 'onnxruntime-node';
import { CompilerError, fail, withoutTemporary } from '../diagnostics.js';
import type { DType } from '../onnx/ir/dtype.js';
import { usefulThreads } from '../threads.js';
import { highestIr, withIr } from './newest-ir.js';
import { Trace } from './ort-trace.js';
import type {
  ExecutedNode,
  Feeds,
  HostData,
  HostTensor,
  OpenOptions,
  Outputs,
  Runtime,
  Session,
  TensorInfo,
} from './runtime.js';

/** Fatal only: everything else is thrown as well, so printing it would say it twice. */
const QUIET = 4;

/** The runtime of this process. */
export const ortRuntime: Runtime = { open };

/** Version of ONNX Runtime. */
export const runtimeVersion = (): string => ort.env.versions.node ?? ort.env.versions.common;

async function open(model: string | Uint8Array, options: OpenOptions = {}): Promise<Session> {
  const at = typeof model === 'string' ? model : 'model';
  if (typeof model === 'string') requireReadable(model);
  const trace = options.traced ? new Trace() : undefined;
  try {
    return new OrtSession(await create(model, sessionOptions(options, trace)), at, trace);
  } catch (error) {
    trace?.close();
    return refuse(error, at, `${RUNTIME} cannot load the model`);
  }
}

/**
 * A model of a newer IR version is loaded as one of the highest that the runtime knows: what a version adds are fields and types,
 * and those that the runtime does not know it still refuses by themselves.
 */
async function create(model: string | Uint8Array, options: InferenceSession.SessionOptions): Promise<InferenceSession> {
  try {
    return await ort.InferenceSession.create(model as string, options);
  } catch (error) {
    const version = highestIr(error);
    if (version === undefined) throw error;
    return ort.InferenceSession.create(
      withIr(model, version),
      typeof model === 'string' ? beside(model, options) : options,
    );
  }
}

/** Options for the bytes of the model at `path`, whose external data lies beside it. */
function beside(path: string, options: InferenceSession.SessionOptions): InferenceSession.SessionOptions {
  const session = {
    ...(options.extra?.session as object),
    model_external_initializers_file_folder_path: dirname(path),
  };
  return { ...options, extra: { ...options.extra, session } };
}

function requireReadable(path: string): void {
  try {
    accessSync(path, constants.R_OK);
  } catch {
    fail('file-missing', path, 'The model cannot be opened');
  }
}

function sessionOptions(options: OpenOptions, trace: Trace | undefined): InferenceSession.SessionOptions {
  const session: Record<string, string> = {};
  const optimization: Record<string, string> = {};
  if (options.foldLimit !== undefined)
    optimization.constant_folding_max_output_size_in_bytes = String(options.foldLimit);
  if (options.accuracyLevel !== undefined) session.qdq_matmulnbits_accuracy_level = String(options.accuracyLevel);
  return {
    executionProviders: ['cpu'],
    intraOpNumThreads: usefulThreads(options.threads),
    interOpNumThreads: 1,
    graphOptimizationLevel: options.optimization ?? 'all',
    enableMemPattern: options.memoryPattern ?? true,
    enableCpuMemArena: options.arena ?? true,
    logSeverityLevel: QUIET,
    ...(trace && { enableProfiling: true, profileFilePrefix: trace.prefix }),
    extra: { session, optimization },
  };
}

class OrtSession implements Session {
  readonly at: string;
  readonly inputs: readonly TensorInfo[];
  readonly outputs: readonly TensorInfo[];
  #session: InferenceSession | undefined;
  #trace: Trace | undefined;

  constructor(session: InferenceSession, at: string, trace: Trace | undefined) {
    this.#session = session;
    this.#trace = trace;
    this.at = at;
    this.inputs = session.inputMetadata.map((info) => tensorInfo(info, at));
    this.outputs = session.outputMetadata.map((info) => tensorInfo(info, at));
  }

  async run(feeds: Feeds, fetches?: readonly string[]): Promise<Outputs> {
    const session = this.#session ?? fail('runtime-failed', this.at, 'The session is closed');
    try {
      const inputs = Object.fromEntries(Object.entries(feeds).map(([name, tensor]) => [name, toOrt(tensor)]));
      const outputs = await session.run(inputs, fetches ?? session.outputNames);
      return Object.fromEntries(Object.entries(outputs).map(([name, tensor]) => [name, fromOrt(tensor as Tensor)]));
    } catch (error) {
      return refuse(error, this.at, `${RUNTIME} cannot run the model`);
    }
  }

  executed(): readonly ExecutedNode[] {
    const [session, trace] = [this.#session, this.#trace];
    if (session === undefined || trace === undefined) return [];
    session.endProfiling();
    try {
      return trace.read();
    } finally {
      this.#closeTrace();
    }
  }

  async close(): Promise<void> {
    const session = this.#session;
    this.#session = undefined;
    await session?.release();
    this.#closeTrace();
  }

  #closeTrace(): void {
    this.#trace?.close();
    this.#trace = undefined;
  }
}

function tensorInfo(info: InferenceSession.ValueMetadata, at: string): TensorInfo {
  if (!info.isTensor) return fail('unsupported-model', at, `Input or output ${info.name} is not a tensor`);
  return { name: info.name, dtype: info.type as DType, dims: info.shape };
}

/** Newer Node versions have a Float16Array, which the package then insists on; older ones take bit patterns. */
const Half = (
  globalThis as { Float16Array?: new (buffer: ArrayBufferLike, offset: number, length: number) => HostData }
).Float16Array;

function toOrt({ dtype, dims, data }: HostTensor): Tensor {
  const wants = dtype === 'float16' && Half !== undefined;
  const numbers = wants ? new Half(data.buffer, data.byteOffset, data.length) : data;
  return new ort.Tensor(dtype as 'float32', numbers as Float32Array, dims);
}

function fromOrt(tensor: Tensor): HostTensor {
  const data = tensor.data as HostData;
  const dtype = tensor.type as DType;
  if (dtype !== 'float16') return { dtype, dims: tensor.dims, data };
  return { dtype, dims: tensor.dims, data: new Uint16Array(data.buffer as ArrayBuffer, data.byteOffset, data.length) };
}

/** The version of the package that is installed, which decides what a model may use. */
const { version: VERSION } = createRequire(import.meta.url)('onnxruntime-node/package.json') as { version: string };

/** Package and version, as manifests name the runtime. */
export const RUNTIME_PACKAGE: string = `onnxruntime-node ${VERSION}`;

/** The runtime as messages name it where its limits show. */
export const RUNTIME: string = `ONNX Runtime ${VERSION} (onnxruntime-node, bundled)`;

/** A graph of this tool's own is opened from bytes, or from a temporary folder. */
const isOwn = (at: string): boolean => at === 'model' || withoutTemporary(at) !== at;

function refuse(error: unknown, at: string, what: string): never {
  if (error instanceof CompilerError) throw error;
  const reason = shortened(error instanceof Error ? error.message : String(error));
  return fail(isOwn(at) ? 'internal-graph' : 'runtime-failed', at, `${what}: ${reason}`);
}

const LONGEST = 300;

/** The message without the source places, signatures and stack of the library that threw it. */
export function shortened(message: string): string {
  const plain = message
    .split(/\n/, 1)[0]
    ?.replace(/\/\S*onnxruntime\S*:\d+\s+(?:[\w:<>,&*~ ]+\([^)]*\)(?: const)?(?: \[with [^\]]*\])?\s*)?/g, '')
    .replace(/^Error: /, '')
    .replace(/\s+/g, ' ')
    .trim();
  if (!plain) return 'no reason given';
  return plain.length > LONGEST ? `${plain.slice(0, LONGEST)}…` : plain;
}
