/**
 * Coordinate descent on the shared codes for Σ_r λ_r (w - ŵ_r) H (w - ŵ_r)ᵀ with the tables fixed. `state` holds the
 * gradients P_r = (w - ŵ_r) H, f32 [tile, planes, pitch]. A change of one code by δ takes δ H_j out of P: at once within the
 * panel of 128 columns, for all other columns after the panel and only for the codes that changed.
 */

import { addRows } from './sparse';
import * as job from './job';
import { levelOf, residual } from './levels';
import { axpy, deepGemm } from './linalg';
import { sharedGradient } from './refit';
import { pick, prepareLevels } from './pick';

/** Columns of P updated together, while the rows of H in use stay in the first-level cache. */
const STRIPE: i32 = 32;

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
  for (let first = 0; first < job.cols; first += job.WIDEST) {
    const last = min(job.cols, first + job.WIDEST);
    memory.fill(job.changes, 0, (<usize>virtual) << 2);
    for (let i = 0; i < end - begin; i++) total += panel(begin + i, i, first, last);
    for (let k = 0; k < job.pitch; k += STRIPE) {
      if (k == first) k += job.WIDEST;
      if (k >= job.pitch) break;
      for (let v = 0; v < virtual; v++) spread(v, first, k, min(STRIPE, job.pitch - k));
    }
  }
  return total;
}

function panel(n: i32, i: i32, first: i32, last: i32): i32 {
  const width = min(job.pitch, first + job.WIDEST) - first;
  let total = 0;
  for (let j = first; j < last; j++) {
    const u = j / job.block;
    if (j == first || j % job.block == 0) prepareLevels(n, u, i);
    const row = job.gram + <usize>j * job.span;
    const inverse: f32 = 1 / load<f32>(row + ((<usize>j) << 2));
    const at = job.codes + <usize>n * job.cols + j;
    const old = <i32>load<u8>(at);
    const state = job.state + <usize>(i * job.planes) * job.span + ((<usize>j) << 2);
    for (let r = 0; r < job.planes; r++) {
      const target = levelOf(r, n, u, old) + load<f32>(state + <usize>r * job.span) * inverse;
      store<f32>(job.goals + ((<usize>r) << 2), target);
    }
    const q = pick(n, u, i);
    if (q == old) continue;
    total++;
    store<u8>(at, q);
    for (let r = 0; r < job.planes; r++) change(r, n, u, i, j, first, width, old, q);
  }
  return total;
}

/** Takes the change of one level out of the panel's gradients and notes it for the other columns. */
function change(r: i32, n: i32, u: i32, i: i32, j: i32, first: i32, width: i32, old: i32, q: i32): void {
  if (job.codeOf(r, old) == job.codeOf(r, q)) return;
  const delta = levelOf(r, n, u, old) - levelOf(r, n, u, q);
  const v = i * job.planes + r;
  const panel = (<usize>first) << 2;
  axpy(width, delta, job.gram + <usize>j * job.span + panel, job.state + <usize>v * job.span + panel);
  const count = job.changes + ((<usize>v) << 2);
  const slot = (<usize>(v * job.WIDEST + load<i32>(count))) << 2;
  store<i32>(job.changed + slot, j - first);
  store<f32>(job.deltas + slot, delta);
  store<i32>(count, load<i32>(count) + 1);
}

/** Adds the noted changes of virtual row v to columns `k` to `k + width` of its gradients. */
function spread(v: i32, first: i32, k: i32, width: i32): void {
  const count = load<i32>(job.changes + (<usize>v << 2));
  if (count == 0) return;
  const slot = <usize>(v * job.WIDEST) << 2;
  const rows = job.gram + <usize>first * job.span + (<usize>k << 2);
  addRows(count, job.changed + slot, job.deltas + slot, rows, job.span, job.state + <usize>v * job.span + (<usize>k << 2), width);
}
