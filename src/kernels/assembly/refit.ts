/**
 * Tables by weighted least squares: per row and precision the scales a_u and offsets b_u of all blocks together, minimising
 * (w - ŵ) H (w - ŵ)ᵀ with ŵ = a_u x + b_u and x = code - centre. The normal equations are
 *   [x_u H_uv x_vᵀ   x_u H_uv 1] [a]   [x_u (wH)_u]
 *   [1 H_uv x_vᵀ     1 H_uv 1  ] [b] = [1 (wH)_u  ]
 * with a relative ridge on the diagonal; where the zero point is fixed only the first row and column remain.
 */

import * as journal from './journal';
import * as job from './job';
import { centreOf, scaleOnly } from './levels';
import { axpy, dot, gemm } from './linalg';
import { solveNormal } from './normal';

/**
 * Fits the tables of rows `begin` to `end`, one tile. Overwrites `state` and `work`. Reads `targets`, the goals times H.
 * With `again` the images of the fit before are brought up to date for the codes that changed since, in the `last` fit only as far as
 * it needs them itself.
 */
export function refitTile(begin: i32, end: i32, again: bool, last: bool): void {
  const fits = job.planes - job.fitted;
  if (fits == 0) return;
  const virtual = (end - begin) * fits;
  for (let v = 0; v < virtual; v++) centred(job.fitted + (v % fits), begin + v / fits, job.state + <usize>v * job.span);
  for (let u = 0; u < job.blocks; u++) {
    if (again && job.sharing) updateImages(begin, u, virtual, last);
    else makeImages(u, virtual);
    for (let v = 0; v < virtual; v++) blockProducts(u, v);
  }
  if (job.sharing) memory.copy(job.before, job.codes + <usize>begin * job.cols, <usize>(end - begin) * job.cols);
  for (let v = 0; v < virtual; v++) {
    assemble(v, job.goalImageOf(v / fits, job.fitted + (v % fits)));
    solveNormal(scaleOnly() ? job.blocks : 2 * job.blocks);
    keep(job.fitted + (v % fits), begin + v / fits);
  }
}

/**
 * Fits every block of rows `begin` to `end` by itself, with the diagonal blocks of H only: good enough to start GPTQ from, at
 * a small part of the products. Overwrites `state` and `work`.
 */
export function refitLocally(begin: i32, end: i32): void {
  const fits = job.planes - job.fitted;
  const virtual = (end - begin) * fits;
  for (let v = 0; v < virtual; v++) centred(job.fitted + (v % fits), begin + v / fits, job.state + <usize>v * job.span);
  for (let u = 0; u < job.blocks; u++) {
    const at = <usize>(u * job.block) << 2;
    const width = job.blockWidth(u);
    const cols = (width + 7) & ~7;
    const gram = job.gram + <usize>(u * job.block) * job.span + at;
    for (let v = 0; v < virtual; v++) memory.fill(job.work + <usize>v * job.span, 0, <usize>cols << 2);
    gemm(virtual, cols, width, job.state + at, job.span, gram, job.span, job.work, job.span);
    for (let v = 0; v < virtual; v++) fitBlock(job.fitted + (v % fits), begin + v / fits, v, v / fits, u);
  }
}

/** Two unknowns by the normal equations of one block, or one where the zero point is fixed. */
function fitBlock(plane: i32, n: i32, v: i32, i: i32, u: i32): void {
  const at = <usize>(u * job.block) << 2;
  const width = job.blockWidth(u);
  const x = job.state + <usize>v * job.span + at;
  const image = job.work + <usize>v * job.span;
  const weight = job.goalOf(i, plane) + at;
  const target = job.scaleAt(plane, n, u);
  const centre = <f64>centreOf(plane);
  const xx = <f64>dot(image, x, width) * (1 + job.ridge) + 1e-20;
  const xw = <f64>dot(image, weight, width);
  if (scaleOnly()) {
    const scale = <f32>(xw / xx);
    store<f32>(target, scale);
    store<f32>(target + job.offsetAt(), -scale * <f32>centre);
    return;
  }
  const x1 = sum64(image, width);
  const ones = <f64>load<f32>(job.blockGram + (<usize>(u * job.blockPitch + u) << 2)) * (1 + job.ridge);
  let w1: f64 = 0;
  for (let k = 0; k < width; k++) {
    const sums = job.blockSums + (<usize>((u * job.block + k) * job.blockPitch + u) << 2);
    w1 += <f64>load<f32>(weight + (<usize>k << 2)) * <f64>load<f32>(sums);
  }
  const determinant = xx * ones - x1 * x1;
  const a = (xw * ones - x1 * w1) / determinant;
  const b = (xx * w1 - x1 * xw) / determinant;
  store<f32>(target, <f32>a);
  store<f32>(target + job.offsetAt(), <f32>(b - a * centre));
}

/** x = code - centre of plane r, row n, as f32 [pitch]. */
function centred(plane: i32, n: i32, target: usize): void {
  const centre = centreOf(plane);
  const code = job.codes + <usize>n * job.cols;
  for (let k = 0; k < job.cols; k++)
    store<f32>(target + ((<usize>k) << 2), <f32>job.codeOf(plane, load<u8>(code + k)) - centre);
  memory.fill(target + ((<usize>job.cols) << 2), 0, (<usize>(job.pitch - job.cols)) << 2);
}

/** x_u H of every virtual row; without sharing only the columns that the fit itself needs. */
function makeImages(u: i32, virtual: i32): void {
  const start = <usize>(u * job.block);
  const width = job.blockWidth(u);
  const cols = job.sharing ? job.pitch : (u * job.block + width + 7) & ~7;
  const images = imageOf(0, u);
  const step = imageOf(1, u) - images;
  for (let v = 0; v < virtual; v++) memory.fill(images + <usize>v * step, 0, <usize>cols << 2);
  gemm(virtual, cols, width, job.state + (start << 2), job.span, job.gram + start * job.span, job.span, images, step);
}

/** Adds to x_u H of every virtual row what the codes that changed since the last fit change. */
function updateImages(begin: i32, u: i32, virtual: i32, last: bool): void {
  const fits = job.planes - job.fitted;
  const end = u * job.block + job.blockWidth(u);
  const cols = last ? (end + 7) & ~7 : job.pitch;
  for (let v = 0; v < virtual; v++) noteChanges(job.fitted + (v % fits), begin + v / fits, v, v / fits, u);
  for (let k = 0; k < cols; k += journal.STRIPE) {
    for (let v = 0; v < virtual; v++) journal.add(v, 0, k, min(journal.STRIPE, cols - k), imageOf(v, u));
  }
}

/** Begins the journal of virtual row v with the columns of block u whose code of a plane differs from the last fit. */
function noteChanges(plane: i32, n: i32, v: i32, i: i32, u: i32): void {
  const codes = job.codes + <usize>n * job.cols;
  const before = job.before + <usize>i * job.cols;
  const last = u * job.block + job.blockWidth(u);
  journal.clear(v);
  for (let k = u * job.block; k < last; k++) {
    const now = load<u8>(codes + k);
    const old = load<u8>(before + k);
    if (now == old) continue;
    const delta = job.codeOf(plane, now) - job.codeOf(plane, old);
    if (delta != 0) journal.note(v, k, <f32>delta);
  }
}

/** Products of block u with every block w <= u, x_u H_uw x_w, and with the sums over every block. */
function blockProducts(u: i32, v: i32): void {
  const start = <usize>(u * job.block);
  const plane = <usize>job.blocks * job.blocks * 4;
  const x = job.state + <usize>v * job.span;
  const image = imageOf(v, u);
  const row = job.products + <usize>(2 * v) * plane + <usize>(u * job.blocks) * 4;
  for (let w = 0; w <= u; w++) {
    const at = <usize>(w * job.block) << 2;
    store<f32>(row + (<usize>w << 2), dot(image + at, x + at, job.blockWidth(w)));
  }
  if (scaleOnly()) return;
  const pitch = <usize>job.blockPitch << 2;
  memory.fill(job.sums, 0, pitch);
  gemm(1, job.blockPitch, job.blockWidth(u), x + (start << 2), 0, job.blockSums + start * pitch, pitch, job.sums, 0);
  memory.copy(row + plane, job.sums, <usize>job.blocks << 2);
}

/** Where x_u H of virtual row v goes: kept for every block when the gradients will share it. */
function imageOf(v: i32, u: i32): usize {
  return job.sharing ? job.images + <usize>(v * job.blocks + u) * job.span : job.work + <usize>v * job.span;
}

/**
 * The gradients (w - ŵ) H of the planes just fitted, from the images x_u H that the fit has made: wH - Σ_u a_u x_u H - b_u 1_u H.
 * Virtual row v becomes row `target` of f32 [pitch].
 */
export function sharedGradient(v: i32, i: i32, plane: i32, n: i32, target: usize): void {
  memory.copy(target, job.goalImageOf(i, plane), job.span);
  const centre = centreOf(plane);
  for (let u = 0; u < job.blocks; u++) {
    const at = job.scaleAt(plane, n, u);
    const scale = load<f32>(at);
    axpy(job.pitch, -scale, imageOf(v, u), target);
    if (scaleOnly()) continue;
    axpy(job.pitch, -(load<f32>(at + job.offsetAt()) + scale * centre), job.turnedSums + <usize>u * job.span, target);
  }
}

/** The normal equations of virtual row v with its goal times H in `target`: lower triangle in `normal`, right side in `right`. */
function assemble(v: i32, target: usize): void {
  const blocks = job.blocks;
  const size = scaleOnly() ? blocks : 2 * blocks;
  const x = job.state + <usize>v * job.span;
  const plane = <usize>blocks * blocks * 4;
  const products = job.products + <usize>(2 * v) * plane;
  for (let u = 0; u < blocks; u++) {
    const at = (<usize>(u * job.block)) << 2;
    const width = job.blockWidth(u);
    store<f64>(job.right + ((<usize>u) << 3), product64(x + at, target + at, width));
    widen(products + <usize>(u * blocks) * 4, job.normal + <usize>(u * size) * 8, u + 1);
    if (size == blocks) continue;
    store<f64>(job.right + ((<usize>(blocks + u)) << 3), sum64(target + at, width));
    const row = job.normal + <usize>((blocks + u) * size) * 8;
    // The product of x_w with the sums over block u, for every w, is column u of the second plane.
    for (let w = 0; w < blocks; w++) {
      store<f64>(row + ((<usize>w) << 3), <f64>load<f32>(products + plane + ((<usize>(w * blocks + u)) << 2)));
    }
    widen(job.blockGram + <usize>(u * job.blockPitch) * 4, row + ((<usize>blocks) << 3), u + 1);
  }
}

/** Copies `count` floats as doubles. */
function widen(source: usize, target: usize, count: i32): void {
  let i: usize = 0;
  for (; i + 2 <= <usize>count; i += 2) {
    v128.store(target + (i << 3), f64x2.promote_low_f32x4(v128.load64_zero(source + (i << 2))));
  }
  if (i < <usize>count) store<f64>(target + (i << 3), <f64>load<f32>(source + (i << 2)));
}

function product64(x: usize, y: usize, count: i32): f64 {
  let sum = f64x2.splat(0);
  let i: usize = 0;
  for (; i + 2 <= <usize>count; i += 2) {
    const a = f64x2.promote_low_f32x4(v128.load64_zero(x + (i << 2)));
    sum = f64x2.add(sum, f64x2.mul(a, f64x2.promote_low_f32x4(v128.load64_zero(y + (i << 2)))));
  }
  let total = f64x2.extract_lane(sum, 0) + f64x2.extract_lane(sum, 1);
  if (i < <usize>count) total += <f64>load<f32>(x + (i << 2)) * <f64>load<f32>(y + (i << 2));
  return total;
}

function sum64(x: usize, count: i32): f64 {
  let sum = f64x2.splat(0);
  let i: usize = 0;
  for (; i + 2 <= <usize>count; i += 2) sum = f64x2.add(sum, f64x2.promote_low_f32x4(v128.load64_zero(x + (i << 2))));
  let total = f64x2.extract_lane(sum, 0) + f64x2.extract_lane(sum, 1);
  if (i < <usize>count) total += <f64>load<f32>(x + (i << 2));
  return total;
}

/** Stores the solution as the table of plane r, row n. */
function keep(plane: i32, n: i32): void {
  const centre = <f64>centreOf(plane);
  for (let u = 0; u < job.blocks; u++) {
    const a = load<f64>(job.right + ((<usize>u) << 3));
    const b = scaleOnly() ? 0 : load<f64>(job.right + ((<usize>(job.blocks + u)) << 3));
    const at = job.scaleAt(plane, n, u);
    store<f32>(at, <f32>a);
    store<f32>(at + job.offsetAt(), scaleOnly() ? -(<f32>a) * <f32>centre : <f32>(b - a * centre));
  }
}
