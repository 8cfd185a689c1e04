/**
 * The data-free method in one pass over the weights: MinMax grid per block, parent codes, and for every precision the
 * scale and offset that minimise the plain squared error of the block (least squares with H = I).
 */
import {
  AFFINE,
  decodeCentre,
  encode1,
  encode4,
  gridScale,
  gridZero,
  highest,
  lowest,
  sliceHalf,
  sliceTop,
  TIED,
  tiedOffset,
} from './grid';
import { sum4, word } from './plan';

/** Plan of `dataFree`, in 32-bit words. Mirrored by `src/solve/kernel/data-free.ts`. */
const WEIGHTS: i32 = 0;
const ROWS: i32 = 1;
const COLS: i32 = 2;
const BLOCK: i32 = 3;
const CODES: i32 = 4;
const SCALE: i32 = 5;
const ZERO: i32 = 6;
/** f32 [precisions, 2, rows, blocks]: scales then offsets. */
const TABLES: i32 = 7;
const SLICE: i32 = 8;
const DECODE: i32 = 9;
const GRID: i32 = 10;
const PARENT_BITS: i32 = 11;
/** Number of precisions, then the precisions themselves. */
const COUNT: i32 = 12;
const BITS: i32 = 13;

/** Sums of a block are kept in float32 over this many elements, then in float64. */
const SEGMENT: i32 = 512;

/** Quantizes rows `begin` to `end`. Scratch: the codes of one block as 32-bit integers. */
export function dataFree(plan: usize, begin: i32, end: i32, scratch: usize): void {
  const cols = word(plan, COLS);
  const block = word(plan, BLOCK);
  const blocks = (cols + block - 1) / block;
  for (let n = begin; n < end; n++) {
    for (let u = 0; u < blocks; u++) oneBlock(plan, n, u, blocks, min(block, cols - u * block), scratch);
  }
}

function oneBlock(plan: usize, n: i32, u: i32, blocks: i32, count: i32, scratch: usize): void {
  const first = <usize>n * word(plan, COLS) + <usize>u * word(plan, BLOCK);
  const w = <usize>word(plan, WEIGHTS) + (first << 2);
  const at = (<usize>n * blocks + u) << 2;
  const bits = word(plan, PARENT_BITS);
  const grid = word(plan, GRID);
  const lo = lowest(w, count);
  const scale = gridScale(lo, highest(w, count), grid, bits);
  const zero = gridZero(lo, scale, grid, bits);
  store<f32>(<usize>word(plan, SCALE) + at, scale);
  store<f32>(<usize>word(plan, ZERO) + at, zero);
  encode(w, scale, zero, <f32>((1 << bits) - 1), count, scratch, <usize>word(plan, CODES) + first);
  const total = sum(w, count);
  for (let i = 0; i < word(plan, COUNT); i++) {
    const plane = (<usize>word(plan, ROWS) * blocks) << 2;
    const table = <usize>word(plan, TABLES) + <usize>(2 * i) * plane + at;
    fit(plan, word(plan, BITS + i), scratch, w, count, total, scale, zero, table, table + plane);
  }
}

/** Codes of a block, as integers into `wide` and as bytes into `codes`. */
function encode(w: usize, scale: f32, zero: f32, top: f32, count: i32, wide: usize, codes: usize): void {
  const scales = f32x4.splat(scale);
  const zeros = f32x4.splat(zero);
  const tops = f32x4.splat(top);
  let i: i32 = 0;
  for (; i + 4 <= count; i += 4) {
    const q = encode4(v128.load(w + ((<usize>i) << 2)), scales, zeros, tops);
    v128.store(wide + ((<usize>i) << 2), q);
    const words = i16x8.narrow_i32x4_u(q, q);
    store<i32>(codes + i, i32x4.extract_lane(i8x16.narrow_i16x8_u(words, words), 0));
  }
  for (; i < count; i++) {
    const q = encode1(load<f32>(w + ((<usize>i) << 2)), scale, zero, top);
    store<i32>(wide + ((<usize>i) << 2), q);
    store<u8>(codes + i, q);
  }
}

function sum(w: usize, count: i32): f64 {
  let total: f64 = 0;
  for (let start = 0; start < count; start += SEGMENT) {
    const stop = min(count, start + SEGMENT);
    let lanes = f32x4.splat(0);
    let i = start;
    for (; i + 4 <= stop; i += 4) lanes = f32x4.add(lanes, v128.load(w + ((<usize>i) << 2)));
    total += <f64>sum4(lanes);
    for (; i < stop; i++) total += <f64>load<f32>(w + ((<usize>i) << 2));
  }
  return total;
}

/** Sums of one fit: of x, of x squared and of x w. */
let sx: f64 = 0;
let sxx: f64 = 0;
let sxw: f64 = 0;

/** Least squares of one precision over one block: w ~ a x + b with x = code - centre; stores a and b - a centre. */
function fit(
  plan: usize, bits: i32, codes: usize, w: usize, count: i32, total: f64, scale: f32, zero: f32, a: usize, b: usize,
): void {
  const shift = word(plan, PARENT_BITS) - bits;
  const slice = word(plan, SLICE);
  const decode = word(plan, DECODE);
  const tied = scale * <f32>(1 << shift);
  store<f32>(a, tied);
  store<f32>(b, tiedOffset(slice, shift, scale, zero));
  if (decode == TIED || shift == 0) return;
  const centre = decodeCentre(decode, bits);
  addUp(codes, w, count, sliceHalf(slice, shift), shift, sliceTop(slice, bits, shift), centre);
  if (decode != AFFINE) {
    const slope = sxx > 0 ? <f32>(sxw / sxx) : tied;
    store<f32>(a, slope);
    store<f32>(b, -slope * centre);
    return;
  }
  const n = <f64>count;
  // One code for the whole block fixes a x + b only: keep the parent's step and let the offset carry the mean.
  const spread = n * sxx - sx * sx;
  const slope = spread > 1e-9 * n * sxx ? (n * sxw - sx * total) / spread : <f64>tied;
  store<f32>(a, <f32>slope);
  store<f32>(b, <f32>((total - slope * sx) / n - slope * <f64>centre));
}

/** Fills the sums for x = min((q + half) >> shift, top) - centre. */
function addUp(codes: usize, w: usize, count: i32, half: i32, shift: i32, top: i32, centre: f32): void {
  const halves = i32x4.splat(half);
  const tops = i32x4.splat(top);
  const centres = f32x4.splat(centre);
  sx = 0;
  sxx = 0;
  sxw = 0;
  for (let start = 0; start < count; start += SEGMENT) {
    const stop = min(count, start + SEGMENT);
    let x1 = f32x4.splat(0);
    let x2 = f32x4.splat(0);
    let xw = f32x4.splat(0);
    let i = start;
    for (; i + 4 <= stop; i += 4) {
      const at = (<usize>i) << 2;
      const c = i32x4.min_s(i32x4.shr_s(i32x4.add(v128.load(codes + at), halves), shift), tops);
      const x = f32x4.sub(f32x4.convert_i32x4_s(c), centres);
      x1 = f32x4.add(x1, x);
      x2 = f32x4.add(x2, f32x4.mul(x, x));
      xw = f32x4.add(xw, f32x4.mul(x, v128.load(w + at)));
    }
    sx += <f64>sum4(x1);
    sxx += <f64>sum4(x2);
    sxw += <f64>sum4(xw);
    for (; i < stop; i++) {
      const x = <f64>(<f32>min((load<i32>(codes + ((<usize>i) << 2)) + half) >> shift, top) - centre);
      sx += x;
      sxx += x * x;
      sxw += x * <f64>load<f32>(w + ((<usize>i) << 2));
    }
  }
}
