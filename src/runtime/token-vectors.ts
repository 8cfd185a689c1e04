/**
 * Vectors in place of an embedding that is not part of the model. Each id has a vector of its own, made of its number and the
 * name of the input alone, so that a model and its quantized forms are fed the same. The elements have mean 0 and deviation 1,
 * like the embeddings of Gemma after their factor √hidden; the norm before the first layer removes any other scale.
 */
import type { DType } from '../onnx/ir/dtype.js';
import { float32ToBfloat16, float32ToFloat16 } from '../onnx/ir/half.js';
import type { Port } from './input-roles.js';
import type { HostTensor } from './runtime.js';

/** Elements are multiples of 1/64 below 4, which float16 and bfloat16 hold without rounding. */
const GRID = 64;
/** Mean and deviation of the sum of four bytes, each equally likely. */
const [MEAN, DEVIATION] = [510, 147.8];

/** [texts, tokens, widths…] for the ids of `windows`; undefined for a type that is not float, or a width that is not stated. */
export function tokenVectors(
  { name, dims }: Port,
  dtype: DType,
  { windows, length }: { readonly windows: readonly ArrayLike<number>[]; readonly length: number },
): HostTensor | undefined {
  const widths = dims?.slice(2);
  if (widths === undefined || !widths.every((dim) => typeof dim === 'number')) return undefined;
  const width = (widths as number[]).reduce((product, dim) => product * dim, 1);
  const values = new Float32Array(windows.length * length * width);
  const salt = hashOf(name);
  windows.forEach((window, text) => {
    for (let at = 0; at < length; at++) {
      const start = (text * length + at) * width;
      fillVector(values.subarray(start, start + width), (window[at] ?? 0) ^ salt);
    }
  });
  return typed(dtype, values, [windows.length, length, ...(widths as number[])]);
}

function fillVector(row: Float32Array, seed: number): void {
  for (let at = 0; at < row.length; at++) {
    const bits = mixed(Math.imul(seed, 0x9e3779b1) ^ Math.imul(at + 1, 0x85ebca6b));
    const sum = (bits & 255) + ((bits >>> 8) & 255) + ((bits >>> 16) & 255) + (bits >>> 24);
    row[at] = Math.round(((sum - MEAN) / DEVIATION) * GRID) / GRID;
  }
}

/** The last step of MurmurHash3 (Appleby): every bit of the input reaches every bit of the result. */
function mixed(value: number): number {
  const first = Math.imul(value ^ (value >>> 16), 0x85ebca6b);
  const second = Math.imul(first ^ (first >>> 13), 0xc2b2ae35);
  return (second ^ (second >>> 16)) >>> 0;
}

const hashOf = (text: string): number =>
  [...text].reduce((hash, letter) => mixed(Math.imul(hash, 31) + letter.charCodeAt(0)), 0);

function typed(dtype: DType, values: Float32Array, dims: readonly number[]): HostTensor | undefined {
  if (dtype === 'float32') return { dtype, dims, data: values };
  if (dtype === 'float64') return { dtype, dims, data: Float64Array.from(values) };
  if (dtype === 'bfloat16') return { dtype, dims, data: float32ToBfloat16(values) };
  return dtype === 'float16' ? { dtype, dims, data: float32ToFloat16(values) } : undefined;
}
