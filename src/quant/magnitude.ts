/** The largest finite magnitude of a float tensor, read in pieces. */
import type { DType } from '../onnx/ir/dtype.js';
import { toFloat32 } from '../onnx/ir/half.js';
import type { Tensor } from '../onnx/ir/tensor.js';

/** Bytes of a tensor that are in memory at a time. */
const PIECE = 4 << 20;

/** Tensors are immutable, and several verbs ask for the same ones. */
const known: WeakMap<object, number> = new WeakMap();

/** Of a float32, float16 or bfloat16 tensor; 0 when it is empty. NaN and infinities are left out. */
export function largestMagnitude(tensor: Tensor): number {
  const found = known.get(tensor.storage) ?? measured(tensor);
  known.set(tensor.storage, found);
  return found;
}

function measured(tensor: Tensor): number {
  let largest = 0;
  for (let at = 0; at < tensor.byteLength; at += PIECE) {
    const bytes = tensor.bytes(at, Math.min(at + PIECE, tensor.byteLength));
    largest = Math.max(largest, largestOf(bytes, tensor.dtype));
  }
  return largest;
}

/** Bit patterns without the sign are in the order of their values. */
function largestOf(bytes: Uint8Array, dtype: DType): number {
  const values = toFloat32(bytes, dtype as 'float32');
  const bits = new Uint32Array(values.buffer, values.byteOffset, values.length);
  let largest = 0;
  for (let i = 0; i < bits.length; i++) {
    const magnitude = (bits[i] as number) & 0x7fffffff;
    if (magnitude > largest && magnitude < INFINITE) largest = magnitude;
  }
  return new Float32Array(Uint32Array.of(largest).buffer)[0] as number;
}

const INFINITE = 0x7f800000;
