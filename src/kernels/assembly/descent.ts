/**
 * Coordinate descent on the shared codes for Σ_r λ_r (w - ŵ_r) H (w - ŵ_r)ᵀ with the tables fixed. `state` holds the
 * gradients P_r = (w - ŵ_r) H, f32 [tile, planes, pitch]. A change of one code by δ takes δ H_j out of P: at once within the
 * panel of 128 columns, for all other columns after the panel and only for the codes that changed.
 */

import * as journal from './journal';
import * as job from './job';
import { levelOf, residual } from './levels';
import { axpy, deepGemm } from './linalg';
import { sharedGradient } from './refit';
import { confine, gather, LANES, pick, prepare, sliceOf } from './pick';

/**
 * Fills `state` with the gradients of rows `begin` to `end`, right after a fit of their tables. Planes that are not fitted keep
 * theirs from the round before.
 */
export function gradients(begin: i32, end: i32, round: i32): void {
  const first = job.sharing ? job.fitted : job.planes;
  for (let v = 0; v < (end - begin) * (job.planes - first); v++) {
    const fits = job.planes - first;
    const i = v / fits;
    const plane = first + (v % fits);
    sharedGradient(v, i, plane, begin + i, job.state + <usize>(i * job.planes + plane) * job.span);
  }
  if (first == 0) return;
  if (round == 0 || !job.sharing) multiply(begin, end, first);
  else exchange(end - begin, false);
}

/** The gradients of the planes before `last` by a product with H. */
function multiply(begin: i32, end: i32, last: i32): void {
  for (let v = 0; v < (end - begin) * last; v++) residual(v % last, begin + v / last, v / last, job.work + <usize>v * job.span);
  const step = <usize>job.planes * job.span;
  for (let r = 0; r < last; r++) {
    for (let i = 0; i < end - begin; i++) memory.fill(job.state + <usize>i * step + <usize>r * job.span, 0, job.span);
    const state = job.state + <usize>r * job.span;
    const work = job.work + <usize>r * job.span;
    deepGemm(end - begin, job.pitch, job.cols, work, <usize>last * job.span, job.gram, job.span, state, step);
  }
}

/** Copies the gradients of the planes that are not fitted out of `state`, or back. */
export function exchange(count: i32, out: bool): void {
  const size = <usize>job.fitted * job.span;
  for (let i = 0; i < count; i++) {
    const kept = job.kept + <usize>i * size;
    const state = job.state + <usize>(i * job.planes) * job.span;
    if (out) memory.copy(kept, state, size);
    else memory.copy(state, kept, size);
  }
}

/** One sweep over the columns of rows `begin` to `end`. Returns the number of codes changed. */
export function sweep(begin: i32, end: i32): i32 {
  const virtual = (end - begin) * job.planes;
  let total = 0;
  for (let v = 0; v < virtual; v++) journal.drop(v);
  for (let p = 0; p < job.panels; p++) {
    settle(p, virtual);
    const last = min(job.cols, (p + 1) * job.WIDEST);
    for (let i = 0; i < end - begin; i += LANES) {
      total += panel(begin + i, i, min(LANES, end - begin - i), p * job.WIDEST, last);
    }
    for (let v = 0; v < virtual; v++) journal.mark(v, p);
  }
  return total;
}

/** Brings the gradients of panel p up to date. */
function settle(p: i32, virtual: i32): void {
  const first = p * job.WIDEST;
  const width = min(job.WIDEST, job.pitch - first);
  for (let v = 0; v < virtual; v++) journal.add(v, p, first, width, job.state + <usize>v * job.span);
}

/** Brings all gradients up to date after the last sweep. */
export function settleAll(virtual: i32): void {
  for (let p = 0; p < job.panels; p++) settle(p, virtual);
}

/** Columns `first` to `last` of `count` rows, at most as many as are picked for together; the first is row i of the tile. */
function panel(n: i32, i: i32, count: i32, first: i32, last: i32): i32 {
  let total = 0;
  for (let j = first; j < last; j++) {
    const u = j / job.block;
    if (j == first || j % job.block == 0) prepare(n, count, u);
    const old = codesOf(n, count, j);
    setGoals(i, count, j, old);
    confine(n, count, j);
    const q = pick();
    if (!v128.any_true(i32x4.ne(q, old))) continue;
    v128.store(job.goals4, old);
    v128.store(job.goals4, q, 16);
    for (let lane = 0; lane < count; lane++) {
      const at = job.goals4 + (<usize>lane << 2);
      if (load<i32>(at) == load<i32>(at, 16)) continue;
      total++;
      store<u8>(job.codes + <usize>(n + lane) * job.cols + j, load<i32>(at, 16));
      for (let r = 0; r < job.planes; r++) change(r, n + lane, u, i + lane, j, first, load<i32>(at), load<i32>(at, 16));
    }
  }
  return total;
}

/** Parent codes of column j, i32x4. */
function codesOf(n: i32, count: i32, j: i32): v128 {
  const at = job.codes + <usize>n * job.cols + j;
  const step = <usize>job.cols;
  const second = at + (count > 1 ? step : 0);
  const third = second + (count > 2 ? step : 0);
  const low = i32x4.replace_lane(i32x4.splat(load<u8>(at)), 1, load<u8>(second));
  return i32x4.replace_lane(i32x4.replace_lane(low, 2, load<u8>(third)), 3, load<u8>(third + (count > 3 ? step : 0)));
}

/** The level that a weight has now, and P_jr / H_jj to it, is what all its levels shall be. */
function setGoals(i: i32, count: i32, j: i32, old: v128): void {
  const inverse = f32x4.splat(1 / load<f32>(job.gram + <usize>j * job.span + (<usize>j << 2)));
  const step = <usize>job.planes * job.span;
  let state = job.state + <usize>i * step + (<usize>j << 2);
  for (let r: usize = 0; r < <usize>job.planes; r++) {
    const root = r == 0 ? f32x4.splat(1) : v128.load32_splat(job.roots + (r << 2));
    const code = r == 0 ? f32x4.convert_i32x4_s(old) : sliceOf(r, old);
    const level = f32x4.mul(v128.load(job.decode4 + (r << 5)), code);
    const pull = f32x4.mul(f32x4.mul(root, inverse), gather(state, step, count));
    v128.store(job.goals4 + (r << 4), f32x4.neg(f32x4.add(level, pull)));
    state += job.span;
  }
}

/** Takes the change of one level out of the panel's gradients and notes it for the other columns. */
function change(r: i32, n: i32, u: i32, i: i32, j: i32, first: i32, old: i32, q: i32): void {
  if (job.codeOf(r, old) == job.codeOf(r, q)) return;
  const delta = levelOf(r, n, u, old) - levelOf(r, n, u, q);
  const v = i * job.planes + r;
  const panel = (<usize>first) << 2;
  const width = min(job.pitch, first + job.WIDEST) - first;
  axpy(width, delta, job.gram + <usize>j * job.span + panel, job.state + <usize>v * job.span + panel);
  journal.note(v, j, delta);
}
