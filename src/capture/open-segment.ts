/** Sessions over segments, in the model's own arithmetic or in float64. */
import { fail, isRuntimeFailure } from '../diagnostics.js';
import { floats, type HostTensor, type Runtime, type Session } from '../runtime/runtime.js';

interface Opening {
  readonly threads: number | undefined;
  readonly inFloat64: boolean;
}

/** Opens the model at `path`. Error code `capture-float64` where an operator has no float64 kernel. */
export async function openSegment(runtime: Runtime, path: string, { threads, inFloat64 }: Opening): Promise<Session> {
  const options = threads === undefined ? {} : { threads };
  if (!inFloat64) return runtime.open(path, options);
  // Beyond basic optimizations ONNX Runtime 1.30 fuses nodes into operators, such as QuickGelu, that it has no float64 kernel for.
  return runtime.open(path, { ...options, optimization: 'basic' }).catch(refuseFloat64);
}

/** An operator in the messages of ONNX Runtime: `of operator (Name)`, `an implementation for Name(13)`, `kernel for domain.Name(1)`. */
const OPERATOR = /operator \((\w+)\)|(?:implementation|kernel) for (?:[\w.]+\.)?(\w+)\(/;

function refuseFloat64(error: unknown): never {
  if (!isRuntimeFailure(error)) throw error;
  const [, typed, missing] = OPERATOR.exec(error.message) ?? [];
  const operator = typed ?? missing;
  return fail(
    'capture-float64',
    operator ?? 'capture',
    operator === undefined
      ? `The model cannot be captured in float64: ${error.message}`
      : `The model cannot be captured in float64: ONNX Runtime has no float64 kernel for ${operator}`,
  );
}

/** Numbers as a tensor of the type that a segment computes in. */
export const floatsOf = (data: Float32Array, dims: readonly number[], inFloat64: boolean): HostTensor =>
  inFloat64 ? { dtype: 'float64', dims, data: Float64Array.from(data) } : floats(data, dims);
