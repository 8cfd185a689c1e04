/**
 * Weights that make up for inputs which differ from those of the float model, see `src/solve/kernel/correct.ts`. Each row w becomes
 * w + share · x, where x (Ĥ + damping) = w Δᵀ and Ĥ + damping = F D Fᵀ with the unit factor F = R_ij / R_jj of the error feedback
 * and D = R_jj².
 */
import { axpy, deepGemm, dot } from './linalg';
import { real, word } from './plan';

/** Plan in 32-bit words. Mirrored by `src/solve/kernel/correct.ts`. */
const WEIGHTS: i32 = 0;
const COLS: i32 = 1;
const PITCH: i32 = 2;
/** Δᵀ, f32 [K, pitch]. */
const CHANGE: i32 = 3;
/** F, f32 [K, pitch]. */
const FACTOR: i32 = 4;
/** R_jj, f64 [K]. */
const PIVOTS: i32 = 5;
const TARGET: i32 = 6;
const SHARE: i32 = 7;

/** Rows of W solved together, while a row of the factor stays in the first-level cache. */
const TILE: i32 = 15;

/** Rows `begin` to `end` of the corrected weights f32 [N, K]; the scratch holds f32 [2 * 15, pitch]. */
export function correctRows(plan: usize, begin: i32, end: i32, scratch: usize): void {
  for (let first = begin; first < end; first += TILE) correctTile(plan, first, min(TILE, end - first), scratch);
}

function correctTile(plan: usize, first: i32, count: i32, scratch: usize): void {
  const cols = word(plan, COLS);
  const pitch = word(plan, PITCH);
  const span = (<usize>pitch) << 2;
  const rows = scratch + <usize>TILE * span;
  memory.fill(scratch, 0, 2 * <usize>TILE * span);
  const width = (<usize>cols) << 2;
  const start = <usize>first * width;
  for (let i = 0; i < count; i++)
    memory.copy(rows + <usize>i * span, <usize>word(plan, WEIGHTS) + start + <usize>i * width, width);
  deepGemm(count, pitch, cols, rows, span, <usize>word(plan, CHANGE), span, scratch, span);
  solve(plan, cols, pitch, count, scratch);
  for (let i = 0; i < count; i++) {
    axpy(pitch, real(plan, SHARE), scratch + <usize>i * span, rows + <usize>i * span);
    memory.copy(<usize>word(plan, TARGET) + start + <usize>i * width, rows + <usize>i * span, width);
  }
}

/** Solves x F D Fᵀ = b for `count` rows in place: b of Fᵀ from the last column to the first, then of D, then of F. */
function solve(plan: usize, cols: i32, pitch: i32, count: i32, rows: usize): void {
  const span = (<usize>pitch) << 2;
  const factor = <usize>word(plan, FACTOR);
  for (let j = cols - 1; j >= 0; j--) {
    const left = (j + 1) & ~3;
    const at = (<usize>left) << 2;
    for (let i = 0; i < count; i++) {
      const row = rows + <usize>i * span;
      const value = row + ((<usize>j) << 2);
      store<f32>(value, load<f32>(value) - dot(factor + <usize>j * span + at, row + at, pitch - left));
    }
  }
  for (let j = 0; j < cols; j++) {
    const pivot = load<f64>(<usize>word(plan, PIVOTS) + ((<usize>j) << 3));
    for (let i = 0; i < count; i++) scale(rows + <usize>i * span + ((<usize>j) << 2), <f32>(1 / (pivot * pivot)));
  }
  for (let j = 0; j < cols; j++) {
    const left = (j + 1) & ~3;
    const at = (<usize>left) << 2;
    for (let i = 0; i < count; i++) {
      const row = rows + <usize>i * span;
      axpy(pitch - left, -load<f32>(row + ((<usize>j) << 2)), factor + <usize>j * span + at, row + at);
    }
  }
}

function scale(at: usize, factor: f32): void {
  store<f32>(at, load<f32>(at) * factor);
}
