/**
 * float16 and bfloat16 as bit patterns, to and from float32. Narrowing rounds to the nearest, ties to even (IEEE 754), as
 * the Cast of ONNX does. Node 20 has no Float16Array.
 */
import { fail } from '../../diagnostics.js';
import type { DType } from './dtype.js';

/** Element types whose values are numbers we can compute with. */
export type FloatDType = 'float32' | 'float16' | 'bfloat16' | 'float64';

/** Element types whose values float32 holds exactly: those that float weights are stored in. */
export const WITHIN_FLOAT32: ReadonlySet<DType> = new Set(['float32', 'float16', 'bfloat16']);

/** The smallest positive float16 (a subnormal). */
export const FLOAT16_TINY: number = 2 ** -24;
/** The largest finite float16. */
export const FLOAT16_MAX = 65504;

const scratch = new Float32Array(1);
const scratchBits = new Uint32Array(scratch.buffer);
let widened: Float32Array | undefined;

/** float16 bit patterns → float32, exactly; through a table of all 65,536 values (256 KiB, made on first use). */
export function float16ToFloat32(source: Uint16Array): Float32Array {
  widened ??= widenAll();
  const out = new Float32Array(source.length);
  for (let i = 0; i < out.length; i++) out[i] = widened[source[i] as number] as number;
  return out;
}

/** float32 → float16 bit patterns; beyond the range gives infinity, as in IEEE 754. */
export function float32ToFloat16(source: Float32Array): Uint16Array {
  const bits = new Uint32Array(source.buffer, source.byteOffset, source.length);
  const out = new Uint16Array(source.length);
  for (let i = 0; i < out.length; i++) out[i] = narrow(bits[i] as number);
  return out;
}

/** bfloat16 bit patterns → float32, exactly. */
export function bfloat16ToFloat32(source: Uint16Array): Float32Array {
  const bits = new Uint32Array(source.length);
  for (let i = 0; i < bits.length; i++) bits[i] = (source[i] as number) << 16;
  return new Float32Array(bits.buffer);
}

/** float32 → bfloat16 bit patterns. */
export function float32ToBfloat16(source: Float32Array): Uint16Array {
  const bits = new Uint32Array(source.buffer, source.byteOffset, source.length);
  const out = new Uint16Array(source.length);
  for (let i = 0; i < out.length; i++) {
    const x = bits[i] as number;
    const nan = (x & 0x7fffffff) > 0x7f800000;
    out[i] = nan ? (x >>> 16) | 0x40 : (x + 0x7fff + ((x >>> 16) & 1)) >>> 16;
  }
  return out;
}

/** The float16 bit pattern nearest to one number (rounded to float32 first). */
export function float16Bits(value: number): number {
  scratch[0] = value;
  return narrow(scratchBits[0] as number);
}

/** The value of one float16 bit pattern. */
export function float16Value(bits: number): number {
  widened ??= widenAll();
  return widened[bits] as number;
}

/** Raw little-endian tensor bytes → float32 numbers. Shares memory with `bytes` for an aligned float32 tensor. */
export function toFloat32(bytes: Uint8Array, dtype: DType): Float32Array {
  switch (dtype) {
    case 'float32': {
      const { buffer, byteOffset, byteLength } = aligned(bytes, 4);
      return new Float32Array(buffer, byteOffset, byteLength / 4);
    }
    case 'float64': {
      const { buffer, byteOffset, byteLength } = aligned(bytes, 8);
      return Float32Array.from(new Float64Array(buffer, byteOffset, byteLength / 8));
    }
    case 'float16':
      return float16ToFloat32(asUint16(bytes));
    case 'bfloat16':
      return bfloat16ToFloat32(asUint16(bytes));
    default:
      return fail('unknown-dtype', 'tensor', `${dtype} elements are not floating-point numbers`);
  }
}

/** float32 numbers → raw little-endian tensor bytes. Shares memory with `values` for float32. */
export function fromFloat32(values: Float32Array, dtype: FloatDType): Uint8Array {
  const data = NARROWING[dtype](values);
  return new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
}

const NARROWING: Record<FloatDType, (values: Float32Array) => Float32Array | Float64Array | Uint16Array> = {
  float32: (values) => values,
  float64: (values) => Float64Array.from(values),
  float16: float32ToFloat16,
  bfloat16: float32ToBfloat16,
};

/** One float32 bit pattern → float16 bit pattern. */
function narrow(x: number): number {
  const sign = (x >>> 16) & 0x8000;
  const magnitude = x & 0x7fffffff;
  if (magnitude > 0x7f800000) return sign | 0x7e00 | ((magnitude >>> 13) & 0x3ff);
  if (magnitude >= 0x47800000) return sign | 0x7c00;
  // Normal: re-bias the exponent by 112. A carry out of the fraction is a correct step to the next exponent or infinity.
  if (magnitude >= 0x38800000) return sign | ((magnitude + 0xfff + ((magnitude >>> 13) & 1) - 0x38000000) >>> 13);
  return sign | narrowSubnormal(magnitude);
}

/** |x| < 2^−14: the result counts units of 2^−24. */
function narrowSubnormal(magnitude: number): number {
  const shift = 126 - (magnitude >>> 23);
  if (shift > 24) return 0;
  const fraction = (magnitude & 0x7fffff) | 0x800000;
  const units = fraction >>> shift;
  const rest = fraction & ((1 << shift) - 1);
  const half = 1 << (shift - 1);
  return rest > half || (rest === half && (units & 1) === 1) ? units + 1 : units;
}

function widenAll(): Float32Array {
  const table = new Float32Array(65536);
  for (let bits = 0; bits < table.length; bits++) {
    const exponent = (bits >>> 10) & 31;
    const fraction = bits & 0x3ff;
    const magnitude = exponent === 0 ? fraction * FLOAT16_TINY : (1 + fraction / 1024) * 2 ** (exponent - 15);
    const value = exponent < 31 ? magnitude : fraction === 0 ? Infinity : NaN;
    table[bits] = bits & 0x8000 ? -value : value;
  }
  return table;
}

function asUint16(bytes: Uint8Array): Uint16Array {
  const { buffer, byteOffset, byteLength } = aligned(bytes, 2);
  return new Uint16Array(buffer, byteOffset, byteLength / 2);
}

/** The same bytes at an offset that a typed array of `width`-byte elements accepts; copies only when it must. */
function aligned(bytes: Uint8Array, width: number): Uint8Array {
  if (bytes.byteLength % width !== 0) {
    fail('tensor-size', 'tensor', `${bytes.byteLength} bytes are not a whole number of ${width}-byte elements`);
  }
  return bytes.byteOffset % width === 0 ? bytes : new Uint8Array(bytes);
}
