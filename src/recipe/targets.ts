/**
 * What each runtime runs: one table of facts, read by the check of a recipe's target, `inspect`, manifests, model cards and
 * docs/runtimes.md. A version is the oldest that ran the form; `null` means that no version did.
 */

/** Where models can be told to run, by the names that users write. */
export const TARGET_NAMES = ['cpu', 'browser', 'webgpu', 'genai', 'openvino'] as const;
/** Where models will run. */
export type TargetName = (typeof TARGET_NAMES)[number];

/** A program that runs graphs. */
export type RuntimeName = 'onnxruntime' | 'wasm' | 'webgpu' | 'genai' | 'openvino';

/** What a graph may ask of a runtime. */
export type FormName =
  | 'product-2'
  | 'product-4'
  | 'product-8'
  | 'half-2'
  | 'half-4'
  | 'half-8'
  | 'lookup-2'
  | 'lookup-4'
  | 'lookup-8'
  | 'standard-lookup'
  | 'joins';

/** A form as operators. */
export interface Form {
  readonly operator: string;
  readonly attributes: string;
}

export const FORMS: Readonly<Record<FormName, Form>> = {
  'product-2': { operator: 'MatMulNBits', attributes: 'bits 2 (int2), float32' },
  'product-4': { operator: 'MatMulNBits', attributes: 'bits 4 (int4, int3), float32' },
  'product-8': { operator: 'MatMulNBits', attributes: 'bits 8 (int8 to int5), float32' },
  'half-2': { operator: 'MatMulNBits', attributes: 'bits 2 (int2), float16' },
  'half-4': { operator: 'MatMulNBits', attributes: 'bits 4 (int4, int3), float16' },
  'half-8': { operator: 'MatMulNBits', attributes: 'bits 8 (int8 to int5), float16' },
  'lookup-2': { operator: 'GatherBlockQuantized', attributes: 'bits 2 in uint8' },
  'lookup-4': { operator: 'GatherBlockQuantized', attributes: 'bits 4 in uint8' },
  'lookup-8': { operator: 'GatherBlockQuantized', attributes: 'bits 8 in uint8' },
  'standard-lookup': { operator: 'Gather, Cast, Mul, Reshape', attributes: 'rows of packed codes or bit planes' },
  joins: { operator: 'Gather, Add', attributes: 'bit planes joined when a session is made (nested graphs)' },
};

/** The names of the runtimes, as their packages call themselves. */
export const RUNTIMES: Readonly<Record<RuntimeName, string>> = {
  onnxruntime: 'ONNX Runtime (CPU)',
  wasm: 'ONNX Runtime Web (WASM)',
  webgpu: 'ONNX Runtime Web (WebGPU)',
  genai: 'onnxruntime-genai (CPU)',
  openvino: 'OpenVINO (CPU)',
};

/** One measured fact. */
export interface Fact {
  readonly form: FormName;
  readonly runtime: RuntimeName;
  /** Oldest version that runs it; `null` where none does. */
  readonly since: string | null;
  /** What was run to find this out. */
  readonly measured: string;
}

/** What a target stands for. */
export interface Target {
  /** Every runtime that must run what is emitted. */
  readonly runtimes: readonly RuntimeName[];
  /** How rows of a quantized embedding are read. */
  readonly lookup: 'fused' | 'standard';
  readonly summary: string;
}

export const TARGETS: Readonly<Record<TargetName, Target>> = {
  cpu: { runtimes: ['onnxruntime'], lookup: 'fused', summary: 'ONNX Runtime on a processor (Node.js, Python, C++)' },
  browser: {
    runtimes: ['wasm', 'webgpu'],
    lookup: 'standard',
    summary: 'both backends of ONNX Runtime Web and of transformers.js, embedding included',
  },
  webgpu: { runtimes: ['webgpu'], lookup: 'fused', summary: 'the WebGPU backend of ONNX Runtime Web alone' },
  genai: { runtimes: ['genai'], lookup: 'fused', summary: 'onnxruntime-genai' },
  openvino: {
    runtimes: ['openvino'],
    lookup: 'standard',
    summary: 'OpenVINO: self-contained models of 8 to 3 bits',
  },
};
