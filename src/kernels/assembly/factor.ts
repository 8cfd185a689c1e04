/**
 * The factor of the error feedback. GPTQ feeds the error of column j into the later columns along row j of the Cholesky
 * factor U of the inverse, UᵀU = H⁻¹. With H = R Rᵀ and R upper triangular, U = R⁻¹, and the same recursion reads: column j
 * is quantized at w_j + Σ_{i<j} (w_i - ŵ_i) R_ij / R_jj. So one factorization from the last column to the first is all
 * that is needed, no inverse. It works in float64 on 64 columns at a time; the matrix is [K, pitch], upper triangle.
 */
import { dot64, gemmMinus64 } from './linalg';
import { word } from './plan';

/** Plan of the factor kernels, in 32-bit words. Mirrored by `src/solve/kernel/gram.ts`. */
const GRAM: i32 = 0;
const COLS: i32 = 1;
const PITCH: i32 = 2;
const MATRIX: i32 = 3;
const FACTOR: i32 = 4;
/** Bounds of the current column panel. */
const FIRST: i32 = 5;
const LAST: i32 = 6;
/** Address of the panel transposed, f64 [64, pitch]. */
const TURNED: i32 = 7;
/** Address of the amount added to the diagonal, f64. */
const DAMPING: i32 = 8;
/** Address of a word that is set to 1 when a pivot is not positive. */
const FAILED: i32 = 9;
/** Address of the pivots R_jj, f64 [K]. */
const PIVOTS: i32 = 10;

/** Rows `begin` to `end` of the float64 matrix: the Gram matrix and the damping. */
export function factorFill(plan: usize, begin: i32, end: i32, scratch: usize): void {
  const pitch = <usize>word(plan, PITCH);
  for (let i = begin; i < end; i++) {
    const source = <usize>word(plan, GRAM) + ((<usize>i * pitch) << 2);
    const target = <usize>word(plan, MATRIX) + ((<usize>i * pitch) << 3);
    for (let j: usize = 0; j < pitch; j += 2) {
      v128.store(target + (j << 3), f64x2.promote_low_f32x4(v128.load64_zero(source + (j << 2))));
    }
    const diagonal = target + ((<usize>i) << 3);
    store<f64>(diagonal, load<f64>(diagonal) + load<f64>(<usize>word(plan, DAMPING)));
  }
}

/** The triangle of the panel itself: R R^T of its diagonal block. */
export function factorDiagonal(plan: usize, begin: i32, end: i32, scratch: usize): void {
  const first = word(plan, FIRST);
  const last = word(plan, LAST);
  for (let j = last - 1; j >= first; j--) {
    const row = rowOf(plan, j);
    const after = (<usize>j + 1) << 3;
    const pivot = load<f64>(row + after - 8) - dot64(row + after, row + after, last - 1 - j);
    if (!(pivot > 0)) store<i32>(<usize>word(plan, FAILED), 1);
    const root = sqrt<f64>(pivot);
    store<f64>(row + after - 8, root);
    for (let i = first; i < j; i++) {
      const other = rowOf(plan, i);
      const value = load<f64>(other + after - 8) - dot64(other + after, row + after, last - 1 - j);
      store<f64>(other + after - 8, value / root);
    }
  }
}

/** Rows `begin` to `end` above the panel: R_ij, also written transposed for the update. */
export function factorPanel(plan: usize, begin: i32, end: i32, scratch: usize): void {
  const first = word(plan, FIRST);
  const last = word(plan, LAST);
  const turned = <usize>word(plan, TURNED);
  const pitch = (<usize>word(plan, PITCH)) << 3;
  for (let i = begin; i < end; i++) {
    const row = rowOf(plan, i);
    for (let j = last - 1; j >= first; j--) {
      const other = rowOf(plan, j);
      const after = (<usize>j + 1) << 3;
      const value =
        (load<f64>(row + after - 8) - dot64(row + after, other + after, last - 1 - j)) / load<f64>(other + after - 8);
      store<f64>(row + after - 8, value);
      store<f64>(turned + <usize>(j - first) * pitch + ((<usize>i) << 3), value);
    }
  }
}

/** Rows `begin` to `end` above the panel: takes the panel's part out of the columns before it. */
export function factorUpdate(plan: usize, begin: i32, end: i32, scratch: usize): void {
  const first = word(plan, FIRST);
  const left = begin & ~3;
  const pitch = (<usize>word(plan, PITCH)) << 3;
  const panel = rowOf(plan, begin) + ((<usize>first) << 3);
  const columns = (<usize>left) << 3;
  const turned = <usize>word(plan, TURNED) + columns;
  gemmMinus64(
    end - begin,
    first - left,
    word(plan, LAST) - first,
    panel,
    pitch,
    turned,
    pitch,
    rowOf(plan, begin) + columns,
    pitch,
  );
}

/** Rows `begin` to `end` of the float32 factor R_ij / R_jj, zero on and below the diagonal, and of the pivots R_jj. */
export function factorFinish(plan: usize, begin: i32, end: i32, scratch: usize): void {
  const cols = word(plan, COLS);
  const pitch = word(plan, PITCH);
  for (let i = begin; i < end; i++) {
    const source = rowOf(plan, i);
    const target = <usize>word(plan, FACTOR) + ((<usize>i * pitch) << 2);
    store<f64>(<usize>word(plan, PIVOTS) + ((<usize>i) << 3), load<f64>(source + ((<usize>i) << 3)));
    for (let j = 0; j < pitch; j++) {
      const inside = j > i && j < cols;
      const value = inside ? load<f64>(source + ((<usize>j) << 3)) / load<f64>(rowOf(plan, j) + ((<usize>j) << 3)) : 0;
      store<f32>(target + ((<usize>j) << 2), <f32>value);
    }
  }
}

function rowOf(plan: usize, i: i32): usize {
  return <usize>word(plan, MATRIX) + ((<usize>i * word(plan, PITCH)) << 3);
}
