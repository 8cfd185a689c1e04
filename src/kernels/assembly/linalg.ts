/**
 * Matrix products on SIMD lanes. All strides are in bytes. Every element of C sums over the depth in ascending order, so a
 * result does not depend on how rows and columns were tiled.
 */
import { sum4 } from './plan';

/**
 * C [rows, cols] += A [rows, depth] . B [depth, cols] in float32; cols is a multiple of 8. Tiles of 5 x 8 keep ten sums, one
 * row of B and one element of A in the sixteen registers (measured: 30 GFLOPS, against 23 to 27 for 4 x 8, 6 x 8, 3 x 16).
 */
export function gemm(
  rows: i32,
  cols: i32,
  depth: i32,
  a: usize,
  lda: usize,
  b: usize,
  ldb: usize,
  c: usize,
  ldc: usize,
): void {
  const width = (<usize>cols) << 2;
  for (let n: usize = 0; n < width; n += 32) {
    let i: i32 = 0;
    for (; i + 5 <= rows; i += 5) tile5(depth, a + <usize>i * lda, lda, b + n, ldb, c + <usize>i * ldc + n, ldc);
    for (; i < rows; i++) tile1(depth, a + <usize>i * lda, b + n, ldb, c + <usize>i * ldc + n);
  }
}

/** The same in slices of the depth, so that the rows of B in use stay in the cache. */
export function deepGemm(
  rows: i32,
  cols: i32,
  depth: i32,
  a: usize,
  lda: usize,
  b: usize,
  ldb: usize,
  c: usize,
  ldc: usize,
): void {
  for (let k: i32 = 0; k < depth; k += 128) {
    gemm(rows, cols, min(128, depth - k), a + ((<usize>k) << 2), lda, b + <usize>k * ldb, ldb, c, ldc);
  }
}

/** C -= A . B in float64; cols is a multiple of 4. */
export function gemmMinus64(
  rows: i32,
  cols: i32,
  depth: i32,
  a: usize,
  lda: usize,
  b: usize,
  ldb: usize,
  c: usize,
  ldc: usize,
): void {
  const width = (<usize>cols) << 3;
  for (let n: usize = 0; n < width; n += 32) {
    let i: i32 = 0;
    for (; i + 5 <= rows; i += 5) wide5(depth, a + <usize>i * lda, lda, b + n, ldb, c + <usize>i * ldc + n, ldc);
    for (; i < rows; i++) wide1(depth, a + <usize>i * lda, b + n, ldb, c + <usize>i * ldc + n);
  }
}

function tile5(depth: i32, a: usize, lda: usize, b: usize, ldb: usize, c: usize, ldc: usize): void {
  let c00 = v128.load(c);
  let c01 = v128.load(c, 16);
  let c10 = v128.load(c + ldc);
  let c11 = v128.load(c + ldc, 16);
  let c20 = v128.load(c + 2 * ldc);
  let c21 = v128.load(c + 2 * ldc, 16);
  let c30 = v128.load(c + 3 * ldc);
  let c31 = v128.load(c + 3 * ldc, 16);
  let c40 = v128.load(c + 4 * ldc);
  let c41 = v128.load(c + 4 * ldc, 16);
  const end = a + ((<usize>depth) << 2);
  while (a < end) {
    const b0 = v128.load(b);
    const b1 = v128.load(b, 16);
    const a0 = v128.load32_splat(a);
    c00 = f32x4.add(c00, f32x4.mul(a0, b0));
    c01 = f32x4.add(c01, f32x4.mul(a0, b1));
    const a1 = v128.load32_splat(a + lda);
    c10 = f32x4.add(c10, f32x4.mul(a1, b0));
    c11 = f32x4.add(c11, f32x4.mul(a1, b1));
    const a2 = v128.load32_splat(a + 2 * lda);
    c20 = f32x4.add(c20, f32x4.mul(a2, b0));
    c21 = f32x4.add(c21, f32x4.mul(a2, b1));
    const a3 = v128.load32_splat(a + 3 * lda);
    c30 = f32x4.add(c30, f32x4.mul(a3, b0));
    c31 = f32x4.add(c31, f32x4.mul(a3, b1));
    const a4 = v128.load32_splat(a + 4 * lda);
    c40 = f32x4.add(c40, f32x4.mul(a4, b0));
    c41 = f32x4.add(c41, f32x4.mul(a4, b1));
    a += 4;
    b += ldb;
  }
  v128.store(c, c00);
  v128.store(c, c01, 16);
  v128.store(c + ldc, c10);
  v128.store(c + ldc, c11, 16);
  v128.store(c + 2 * ldc, c20);
  v128.store(c + 2 * ldc, c21, 16);
  v128.store(c + 3 * ldc, c30);
  v128.store(c + 3 * ldc, c31, 16);
  v128.store(c + 4 * ldc, c40);
  v128.store(c + 4 * ldc, c41, 16);
}

function tile1(depth: i32, a: usize, b: usize, ldb: usize, c: usize): void {
  let c00 = v128.load(c);
  let c01 = v128.load(c, 16);
  const end = a + ((<usize>depth) << 2);
  while (a < end) {
    const b0 = v128.load(b);
    const b1 = v128.load(b, 16);
    const a0 = v128.load32_splat(a);
    c00 = f32x4.add(c00, f32x4.mul(a0, b0));
    c01 = f32x4.add(c01, f32x4.mul(a0, b1));
    a += 4;
    b += ldb;
  }
  v128.store(c, c00);
  v128.store(c, c01, 16);
}

function wide5(depth: i32, a: usize, lda: usize, b: usize, ldb: usize, c: usize, ldc: usize): void {
  let c00 = v128.load(c);
  let c01 = v128.load(c, 16);
  let c10 = v128.load(c + ldc);
  let c11 = v128.load(c + ldc, 16);
  let c20 = v128.load(c + 2 * ldc);
  let c21 = v128.load(c + 2 * ldc, 16);
  let c30 = v128.load(c + 3 * ldc);
  let c31 = v128.load(c + 3 * ldc, 16);
  let c40 = v128.load(c + 4 * ldc);
  let c41 = v128.load(c + 4 * ldc, 16);
  const end = a + ((<usize>depth) << 3);
  while (a < end) {
    const b0 = v128.load(b);
    const b1 = v128.load(b, 16);
    const a0 = v128.load64_splat(a);
    c00 = f64x2.sub(c00, f64x2.mul(a0, b0));
    c01 = f64x2.sub(c01, f64x2.mul(a0, b1));
    const a1 = v128.load64_splat(a + lda);
    c10 = f64x2.sub(c10, f64x2.mul(a1, b0));
    c11 = f64x2.sub(c11, f64x2.mul(a1, b1));
    const a2 = v128.load64_splat(a + 2 * lda);
    c20 = f64x2.sub(c20, f64x2.mul(a2, b0));
    c21 = f64x2.sub(c21, f64x2.mul(a2, b1));
    const a3 = v128.load64_splat(a + 3 * lda);
    c30 = f64x2.sub(c30, f64x2.mul(a3, b0));
    c31 = f64x2.sub(c31, f64x2.mul(a3, b1));
    const a4 = v128.load64_splat(a + 4 * lda);
    c40 = f64x2.sub(c40, f64x2.mul(a4, b0));
    c41 = f64x2.sub(c41, f64x2.mul(a4, b1));
    a += 8;
    b += ldb;
  }
  v128.store(c, c00);
  v128.store(c, c01, 16);
  v128.store(c + ldc, c10);
  v128.store(c + ldc, c11, 16);
  v128.store(c + 2 * ldc, c20);
  v128.store(c + 2 * ldc, c21, 16);
  v128.store(c + 3 * ldc, c30);
  v128.store(c + 3 * ldc, c31, 16);
  v128.store(c + 4 * ldc, c40);
  v128.store(c + 4 * ldc, c41, 16);
}

function wide1(depth: i32, a: usize, b: usize, ldb: usize, c: usize): void {
  let c00 = v128.load(c);
  let c01 = v128.load(c, 16);
  const end = a + ((<usize>depth) << 3);
  while (a < end) {
    const b0 = v128.load(b);
    const b1 = v128.load(b, 16);
    const a0 = v128.load64_splat(a);
    c00 = f64x2.sub(c00, f64x2.mul(a0, b0));
    c01 = f64x2.sub(c01, f64x2.mul(a0, b1));
    a += 8;
    b += ldb;
  }
  v128.store(c, c00);
  v128.store(c, c01, 16);
}

/** Sum of x * y over `count` floats. */
export function dot(x: usize, y: usize, count: i32): f32 {
  let lanes = f32x4.splat(0);
  let i: i32 = 0;
  for (; i + 4 <= count; i += 4) {
    lanes = f32x4.add(lanes, f32x4.mul(v128.load(x + ((<usize>i) << 2)), v128.load(y + ((<usize>i) << 2))));
  }
  let total = sum4(lanes);
  for (; i < count; i++) total += load<f32>(x + ((<usize>i) << 2)) * load<f32>(y + ((<usize>i) << 2));
  return total;
}

/** y += factor * x over `count` floats, a multiple of 4. */
export function axpy(count: i32, factor: f32, x: usize, y: usize): void {
  const lanes = f32x4.splat(factor);
  const end = y + ((<usize>count) << 2);
  while (y < end) {
    v128.store(y, f32x4.add(v128.load(y), f32x4.mul(lanes, v128.load(x))));
    x += 16;
    y += 16;
  }
}

/** Sum of x * y over `count` doubles. */
export function dot64(x: usize, y: usize, count: i32): f64 {
  let first = f64x2.splat(0);
  let second = f64x2.splat(0);
  let i: i32 = 0;
  for (; i + 4 <= count; i += 4) {
    const at = (<usize>i) << 3;
    first = f64x2.add(first, f64x2.mul(v128.load(x + at), v128.load(y + at)));
    second = f64x2.add(second, f64x2.mul(v128.load(x + at, 16), v128.load(y + at, 16)));
  }
  first = f64x2.add(first, second);
  let total = f64x2.extract_lane(first, 0) + f64x2.extract_lane(first, 1);
  for (; i < count; i++) total += load<f64>(x + ((<usize>i) << 3)) * load<f64>(y + ((<usize>i) << 3));
  return total;
}

/** y += factor * x over `count` doubles. */
export function axpy64(count: i32, factor: f64, x: usize, y: usize): void {
  const lanes = f64x2.splat(factor);
  let i: usize = 0;
  for (; i + 2 <= <usize>count; i += 2) {
    const at = y + (i << 3);
    v128.store(at, f64x2.add(v128.load(at), f64x2.mul(lanes, v128.load(x + (i << 3)))));
  }
  if (i < <usize>count) store<f64>(y + (i << 3), load<f64>(y + (i << 3)) + factor * load<f64>(x + (i << 3)));
}
