/**
 * Solves the normal equations of a fit: symmetric, `normal` f64 [size, size] with its lower triangle filled, right side and
 * then solution in `right`. Small systems go through Cholesky in float64. Large ones are factored in float32, four rows at a
 * time, and refined in float64 until the residual is that of float64; where float32 is not enough, float64 it is.
 */
import { axpy, axpy64, dot, dot64 } from './linalg';
import * as job from './job';

/** Unknowns from which float32 pays. */
const LARGE: i32 = 48;
const REFINEMENTS: i32 = 6;
/** Squared residual, relative to the right side, at which refinement ends, and above which it has failed. */
const DONE: f64 = 1e-18;
const FAILED: f64 = 1e-12;

export function solveNormal(size: i32): void {
  for (let i = 0; i < size; i++) {
    const diagonal = job.normal + ((<usize>(i * size + i)) << 3);
    store<f64>(diagonal, load<f64>(diagonal) * (1 + job.ridge) + 1e-20);
  }
  if (size < LARGE || !solveMixed(size)) solveWide(size);
}

/** Cholesky in float64, in place. */
function solveWide(size: i32): void {
  for (let i = 0; i < size; i++) {
    const row = rowOf(i, size);
    const diagonal = row + ((<usize>i) << 3);
    for (let j = 0; j < i; j++) {
      const other = rowOf(j, size);
      const at = row + ((<usize>j) << 3);
      store<f64>(at, (load<f64>(at) - dot64(row, other, j)) / load<f64>(other + ((<usize>j) << 3)));
    }
    store<f64>(diagonal, sqrt<f64>(max<f64>(load<f64>(diagonal) - dot64(row, row, i), 1e-30)));
    const at = job.right + ((<usize>i) << 3);
    store<f64>(at, (load<f64>(at) - dot64(row, job.right, i)) / load<f64>(diagonal));
  }
  for (let i = size - 1; i >= 0; i--) {
    const row = rowOf(i, size);
    const at = job.right + ((<usize>i) << 3);
    const value = load<f64>(at) / load<f64>(row + ((<usize>i) << 3));
    store<f64>(at, value);
    axpy64(i, -value, row, job.right);
  }
}

/** Cholesky in float32 with refinement in float64. False, with `right` as it was, when that does not converge. */
function solveMixed(size: i32): bool {
  if (!factorTriangle(size)) return false;
  memory.fill(job.solution, 0, <usize>size << 3);
  memory.copy(job.rest, job.right, <usize>size << 3);
  const target = dot64(job.right, job.right, size);
  let left = target;
  for (let turn = 0; turn < REFINEMENTS && left > DONE * target; turn++) {
    solveTriangle(size);
    for (let i: usize = 0; i < <usize>size; i++) {
      const at = job.solution + (i << 3);
      store<f64>(at, load<f64>(at) + <f64>load<f32>(job.step + (i << 2)));
    }
    left = residue(size);
  }
  if (!(left <= FAILED * target)) return false;
  memory.copy(job.right, job.solution, <usize>size << 3);
  return true;
}

/** rest = right - normal * solution; returns its square. */
function residue(size: i32): f64 {
  memory.copy(job.rest, job.right, <usize>size << 3);
  for (let i = 0; i < size; i++) {
    const row = rowOf(i, size);
    const at = job.rest + ((<usize>i) << 3);
    store<f64>(at, load<f64>(at) - dot64(row, job.solution, i + 1));
    axpy64(i, -load<f64>(job.solution + ((<usize>i) << 3)), row, job.rest);
  }
  return dot64(job.rest, job.rest, size);
}

/** UᵀU = normal with U upper triangular in `triangle`, rows padded to whole vectors. False when a pivot is not positive. */
function factorTriangle(size: i32): bool {
  const width = (size + 3) & ~3;
  const pitch = <usize>width << 2;
  memory.fill(job.triangle, 0, <usize>size * pitch);
  for (let i = 0; i < size; i++) {
    for (let j = 0; j <= i; j++) {
      store<f32>(job.triangle + <usize>j * pitch + ((<usize>i) << 2), <f32>load<f64>(rowOf(i, size) + ((<usize>j) << 3)));
    }
  }
  for (let k = 0; k < size; k += 4) {
    const last = min(k + 4, size);
    for (let p = k; p < last; p++) {
      if (!scaleRow(p, k, width)) return false;
      for (let q = p + 1; q < last; q++) eliminate(p, q, k, width);
    }
    for (let i = last; i < size; i++) update(k, i, width);
    // What whole vectors left below the diagonal.
    for (let p = k + 1; p < last; p++) memory.fill(job.triangle + ((<usize>(p * width + k)) << 2), 0, (<usize>(p - k)) << 2);
  }
  return true;
}

/** Divides row p by the root of its pivot. */
function scaleRow(p: i32, k: i32, width: i32): bool {
  const row = job.triangle + ((<usize>(p * width)) << 2);
  const pivot = load<f32>(row + ((<usize>p) << 2));
  if (!(pivot > 0)) return false;
  const factor = f32x4.splat(1 / sqrt<f32>(pivot));
  for (let c = k; c < width; c += 4) {
    const at = row + ((<usize>c) << 2);
    v128.store(at, f32x4.mul(v128.load(at), factor));
  }
  return true;
}

/** Takes row p out of row q, both of the same four. */
function eliminate(p: i32, q: i32, k: i32, width: i32): void {
  const row = job.triangle + ((<usize>(p * width)) << 2);
  const factor = -load<f32>(row + ((<usize>q) << 2));
  axpy(width - k, factor, row + ((<usize>k) << 2), job.triangle + ((<usize>(q * width + k)) << 2));
}

/** Takes rows k to k + 3 out of row i. */
function update(k: i32, i: i32, width: i32): void {
  const pitch = <usize>width << 2;
  const first = job.triangle + <usize>k * pitch;
  const column = first + ((<usize>i) << 2);
  const a = v128.load32_splat(column);
  const b = v128.load32_splat(column + pitch);
  const c = v128.load32_splat(column + 2 * pitch);
  const d = v128.load32_splat(column + 3 * pitch);
  const start = (<usize>(i & ~3)) << 2;
  let source = first + start;
  let target = job.triangle + <usize>i * pitch + start;
  const end = job.triangle + <usize>(i + 1) * pitch;
  while (target < end) {
    const ab = f32x4.add(f32x4.mul(a, v128.load(source)), f32x4.mul(b, v128.load(source + pitch)));
    const cd = f32x4.add(f32x4.mul(c, v128.load(source + 2 * pitch)), f32x4.mul(d, v128.load(source + 3 * pitch)));
    v128.store(target, f32x4.sub(v128.load(target), f32x4.add(ab, cd)));
    source += 16;
    target += 16;
  }
}

/** step = (UᵀU)⁻¹ rest. */
function solveTriangle(size: i32): void {
  const width = (size + 3) & ~3;
  for (let i = 0; i < width; i++) {
    store<f32>(job.step + ((<usize>i) << 2), i < size ? <f32>load<f64>(job.rest + ((<usize>i) << 3)) : 0);
  }
  for (let i = 0; i < size; i++) {
    const row = job.triangle + ((<usize>(i * width)) << 2);
    const at = job.step + ((<usize>i) << 2);
    const value = load<f32>(at) / load<f32>(row + ((<usize>i) << 2));
    const start = (i + 1) & ~3;
    axpy(width - start, -value, row + ((<usize>start) << 2), job.step + ((<usize>start) << 2));
    store<f32>(at, value);
  }
  for (let i = size - 1; i >= 0; i--) {
    const row = job.triangle + ((<usize>(i * width)) << 2);
    const at = job.step + ((<usize>i) << 2);
    const next = (<usize>(i + 1)) << 2;
    store<f32>(at, (load<f32>(at) - dot(row + next, job.step + next, size - 1 - i)) / load<f32>(row + ((<usize>i) << 2)));
  }
}

function rowOf(i: i32, size: i32): usize {
  return job.normal + ((<usize>(i * size)) << 3);
}
