/**
 * Reads stored weights as float32 rows [rows, K]: element types float32, float16, bfloat16 and float64, layouts
 * [N, K] (a plain copy) and [K, N] (a transposition by 4 x 4 tiles).
 */
import { word } from './plan';

/** Plan of `convertRows`, in 32-bit words. Mirrored by `src/kernels/load-rows.ts`. */
const SOURCE: i32 = 0;
const TARGET: i32 = 1;
const COLS: i32 = 2;
const DTYPE: i32 = 3;
/** 1: the source holds [K, STRIDE] and row n is column n; 0: the source holds [rows, K]. */
const TRANSPOSED: i32 = 4;
const STRIDE: i32 = 5;
/** One word per 16 rows (index begin / 16), set to 1 when one of them is not finite. */
const BAD: i32 = 6;

const FLOAT32: i32 = 0;
const FLOAT16: i32 = 1;
const BFLOAT16: i32 = 2;

/** Four elements from `index` on, widened to float32. */
function load4(source: usize, dtype: i32, index: usize): v128 {
  if (dtype == FLOAT32) return v128.load(source + (index << 2));
  if (dtype == FLOAT16) return widenHalf(v128.load16x4_u(source + (index << 1)));
  if (dtype == BFLOAT16) return i32x4.shl(v128.load16x4_u(source + (index << 1)), 16);
  const low = f32x4.demote_f64x2_zero(v128.load(source + (index << 3)));
  const high = f32x4.demote_f64x2_zero(v128.load(source + (index << 3) + 16));
  return v128.shuffle<i32>(low, high, 0, 1, 4, 5);
}

/** One element, widened to float32. */
function load1(source: usize, dtype: i32, index: usize): f32 {
  if (dtype == FLOAT32) return load<f32>(source + (index << 2));
  if (dtype == FLOAT16) return f32x4.extract_lane(widenHalf(i32x4.splat(load<u16>(source + (index << 1)))), 0);
  if (dtype == BFLOAT16) return reinterpret<f32>((<u32>load<u16>(source + (index << 1))) << 16);
  return <f32>load<f64>(source + (index << 3));
}

/** float16 bits in 32-bit lanes to float32: shift the fields up, then rebias by 2^112, which also makes subnormals exact. */
function widenHalf(bits: v128): v128 {
  const sign = i32x4.shl(v128.and(bits, i32x4.splat(0x8000)), 16);
  const magnitude = v128.and(bits, i32x4.splat(0x7fff));
  const value = f32x4.mul(i32x4.shl(magnitude, 13), f32x4.splat(reinterpret<f32>(0x77800000)));
  const special = v128.and(i32x4.ge_u(magnitude, i32x4.splat(0x7c00)), i32x4.splat(0x7f800000));
  return v128.or(v128.or(value, special), sign);
}

/** True when the row of `cols` floats holds a NaN or an infinity. */
function notFinite(row: usize, cols: i32): bool {
  const limit = i32x4.splat(0x7f800000);
  let seen = i32x4.splat(0);
  let i: i32 = 0;
  for (; i + 4 <= cols; i += 4) {
    const exponent = v128.and(v128.load(row + ((<usize>i) << 2)), limit);
    seen = v128.or(seen, i32x4.eq(exponent, limit));
  }
  for (; i < cols; i++) {
    if ((load<u32>(row + ((<usize>i) << 2)) & 0x7f800000) == 0x7f800000) return true;
  }
  return v128.any_true(seen);
}

/** Fills target rows `begin` to `end`; marks the 16-row group of `begin` when a value is not finite. */
export function convertRows(plan: usize, begin: i32, end: i32, scratch: usize): void {
  const target = <usize>word(plan, TARGET);
  const cols = word(plan, COLS);
  if (word(plan, TRANSPOSED)) transpose(plan, begin, end);
  else widen(plan, begin, end);
  for (let n = begin; n < end; n++) {
    const row = target + ((<usize>n * cols) << 2);
    if (notFinite(row, cols)) store<i32>(<usize>word(plan, BAD) + ((<usize>(n >> 4)) << 2), 1);
  }
}

function widen(plan: usize, begin: i32, end: i32): void {
  const source = <usize>word(plan, SOURCE);
  const target = <usize>word(plan, TARGET);
  const dtype = word(plan, DTYPE);
  const cols = <usize>word(plan, COLS);
  const last = <usize>end * cols;
  let i = <usize>begin * cols;
  for (; i + 4 <= last; i += 4) v128.store(target + (i << 2), load4(source, dtype, i));
  for (; i < last; i++) store<f32>(target + (i << 2), load1(source, dtype, i));
}

function transpose(plan: usize, begin: i32, end: i32): void {
  const source = <usize>word(plan, SOURCE);
  const target = <usize>word(plan, TARGET);
  const dtype = word(plan, DTYPE);
  const cols = word(plan, COLS);
  const stride = <usize>word(plan, STRIDE);
  let n = begin;
  for (; n + 4 <= end; n += 4) {
    const out = target + ((<usize>n * cols) << 2);
    let k: i32 = 0;
    for (; k + 4 <= cols; k += 4)
      tile(source, dtype, <usize>k * stride + n, stride, out + ((<usize>k) << 2), (<usize>cols) << 2);
    for (; k < cols; k++) {
      for (let i: i32 = 0; i < 4; i++)
        copyOne(source, dtype, <usize>k * stride + n + i, out + ((<usize>i * cols + k) << 2));
    }
  }
  for (; n < end; n++) {
    for (let k: i32 = 0; k < cols; k++) {
      copyOne(source, dtype, <usize>k * stride + n, target + ((<usize>n * cols + k) << 2));
    }
  }
}

function copyOne(source: usize, dtype: i32, index: usize, target: usize): void {
  store<f32>(target, load1(source, dtype, index));
}

/** Transposes one 4 x 4 tile; `pitch` is the distance of target rows in bytes. */
function tile(source: usize, dtype: i32, index: usize, stride: usize, target: usize, pitch: usize): void {
  const r0 = load4(source, dtype, index);
  const r1 = load4(source, dtype, index + stride);
  const r2 = load4(source, dtype, index + 2 * stride);
  const r3 = load4(source, dtype, index + 3 * stride);
  const a = v128.shuffle<i32>(r0, r1, 0, 4, 1, 5);
  const b = v128.shuffle<i32>(r2, r3, 0, 4, 1, 5);
  const c = v128.shuffle<i32>(r0, r1, 2, 6, 3, 7);
  const d = v128.shuffle<i32>(r2, r3, 2, 6, 3, 7);
  v128.store(target, v128.shuffle<i64>(a, b, 0, 2));
  v128.store(target + pitch, v128.shuffle<i64>(a, b, 1, 3));
  v128.store(target + 2 * pitch, v128.shuffle<i64>(c, d, 0, 2));
  v128.store(target + 3 * pitch, v128.shuffle<i64>(c, d, 1, 3));
}
