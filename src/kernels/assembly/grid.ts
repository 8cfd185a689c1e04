/** The integer grid of one block (MatQuant eq. 1) and the slices of its codes, on SIMD lanes. Codes live in 32-bit lanes. */

/** Kinds of grid: asymmetric with an integer zero point, symmetric with a centre, symmetric with a signed scale. */
export const ASYMMETRIC: i32 = 0;
export const SYMMETRIC: i32 = 1;
export const SIGNED: i32 = 2;

/** Scale of a block without a range: the smallest float16, so that no table type loses or overflows it. */
const EMPTY_SCALE: f32 = 5.9604644775390625e-8;
const SMALLEST_NORMAL: f32 = 1.1754943508222875e-38;

/** Scale of the `bits`-bit grid that spans lo to hi. */
export function gridScale(lo: f32, hi: f32, kind: i32, bits: i32): f32 {
  const scale = scaleOf(lo, hi, kind, <f32>(1 << (bits - 1)));
  return abs(scale) < SMALLEST_NORMAL ? EMPTY_SCALE : scale;
}

function scaleOf(lo: f32, hi: f32, kind: i32, half: f32): f32 {
  if (kind == ASYMMETRIC) return (max<f32>(hi, 0) - min<f32>(lo, 0)) / (2 * half - 1);
  if (kind == SYMMETRIC) return max<f32>(abs(lo), abs(hi)) / max<f32>(half - 1, 1);
  return -(abs(lo) > abs(hi) ? lo : hi) / half;
}

/** Zero point of that grid: the code that stands for 0. */
export function gridZero(lo: f32, scale: f32, kind: i32, bits: i32): f32 {
  return kind == ASYMMETRIC ? nearest<f32>(-min<f32>(lo, 0) / scale) : <f32>(1 << (bits - 1));
}

/** Smallest element of `count` floats. */
export function lowest(source: usize, count: i32): f32 {
  let best = load<f32>(source);
  let i: i32 = 0;
  if (count >= 4) {
    let lanes = v128.load(source);
    for (i = 4; i + 4 <= count; i += 4) lanes = f32x4.pmin(lanes, v128.load(source + ((<usize>i) << 2)));
    lanes = f32x4.pmin(lanes, v128.shuffle<i32>(lanes, lanes, 2, 3, 0, 1));
    best = min<f32>(f32x4.extract_lane(lanes, 0), f32x4.extract_lane(lanes, 1));
  }
  for (; i < count; i++) best = min<f32>(best, load<f32>(source + ((<usize>i) << 2)));
  return best;
}

/** Largest element of `count` floats. */
export function highest(source: usize, count: i32): f32 {
  let best = load<f32>(source);
  let i: i32 = 0;
  if (count >= 4) {
    let lanes = v128.load(source);
    for (i = 4; i + 4 <= count; i += 4) lanes = f32x4.pmax(lanes, v128.load(source + ((<usize>i) << 2)));
    lanes = f32x4.pmax(lanes, v128.shuffle<i32>(lanes, lanes, 2, 3, 0, 1));
    best = max<f32>(f32x4.extract_lane(lanes, 0), f32x4.extract_lane(lanes, 1));
  }
  for (; i < count; i++) best = max<f32>(best, load<f32>(source + ((<usize>i) << 2)));
  return best;
}

/** Four codes: clamp(round half to even(w / scale + zero), 0, top), as integers. */
export function encode4(w: v128, scale: v128, zero: v128, top: v128): v128 {
  const code = f32x4.nearest(f32x4.add(f32x4.div(w, scale), zero));
  return i32x4.trunc_sat_f32x4_s(f32x4.pmin(f32x4.pmax(code, f32x4.splat(0)), top));
}

export function encode1(w: f32, scale: f32, zero: f32, top: f32): i32 {
  return <i32>min<f32>(max<f32>(nearest<f32>(w / scale + zero), 0), top);
}

/** Slices, as in `SLICES` of `src/solve/kernel/plan.ts`. */
export const PREFIX: i32 = 0;
export const PAPER: i32 = 1;
export const EXTRA: i32 = 2;

/** What is added before the shift: half a step for the slices that round (MatQuant eq. 6 and 8), nothing for the prefix. */
export function sliceHalf(slice: i32, shift: i32): i32 {
  return slice == PREFIX ? 0 : (1 << shift) >> 1;
}

/** Largest code of the slice at `bits`: `extra` keeps one level more. */
export function sliceTop(slice: i32, bits: i32, shift: i32): i32 {
  return slice == EXTRA && shift > 0 ? 1 << bits : (1 << bits) - 1;
}

/** Decodes of a slice: scale and offset, scale with the offset at mid-point, scale with zero point 2^(r-1), the parent's. */
export const AFFINE: i32 = 0;
export const MIDPOINT: i32 = 1;
export const CENTERED: i32 = 2;
export const TIED: i32 = 3;

/** The code around which a decode is fitted: 2^(r-1) - 1/2, or 2^(r-1) where the zero point is that. */
export function decodeCentre(decode: i32, bits: i32): f32 {
  const half = <f32>(1 << (bits - 1));
  return decode == CENTERED ? half : half - 0.5;
}

/** Offset of the tied decode scale * (2^shift * c) + offset: a prefix stands for the middle of its codes. */
export function tiedOffset(slice: i32, shift: i32, scale: f32, zero: f32): f32 {
  const middle = slice == PREFIX ? (<f32>(1 << shift) - 1) * 0.5 : 0;
  return scale * (middle - zero);
}
