/**
 * What changed in the virtual rows of a tile, in the order of time: entries of a column and by how much. Columns are worked on in
 * panels; a panel takes over all that has changed since its last turn when its next one comes. So a sum runs over many entries
 * with its columns in registers, and whatever nobody asks for is never added.
 *
 * Of each virtual row: up to 2 K entries, i32 where the row of H begins in bytes and f32 the change; their number; and per panel the
 * number of entries when its turn ended.
 */
import * as job from './job';
import { axpy } from './linalg';

/** Columns added to together, in registers. */
export const STRIPE: i32 = 32;

/** Forgets everything about virtual row v. */
export function clear(v: i32): void {
  store<i32>(endOf(v), 0);
  memory.fill(markOf(v, 0), 0, <usize>job.panels << 2);
}

/** Notes that column j of virtual row v has changed by `delta`. */
export function note(v: i32, j: i32, delta: f32): void {
  const count = load<i32>(endOf(v));
  const entry = entryOf(v, count);
  store<i32>(entry, j * <i32>job.span);
  store<f32>(entry, delta, 4);
  store<i32>(endOf(v), count + 1);
}

/** Ends the turn of a panel. */
export function mark(v: i32, panel: i32): void {
  store<i32>(markOf(v, panel), load<i32>(endOf(v)));
}

/** Drops what every panel has taken over: all before the end of the last turn of the first one. */
export function drop(v: i32): void {
  const old = load<i32>(markOf(v, 0));
  const left = load<i32>(endOf(v)) - old;
  memory.copy(entryOf(v, 0), entryOf(v, old), <usize>left << 3);
  store<i32>(endOf(v), left);
  for (let p = 0; p < job.panels; p++) store<i32>(markOf(v, p), load<i32>(markOf(v, p)) - old);
}

/**
 * Adds the changes of virtual row v since the last turn of `panel`, times their rows of H, to columns k to k + width of
 * `target`, at most a stripe.
 */
export function add(v: i32, panel: i32, k: i32, width: i32, target: usize): void {
  const at = <usize>k << 2;
  const entry = entryOf(v, load<i32>(markOf(v, panel)));
  const end = entryOf(v, load<i32>(endOf(v)));
  if (entry == end) return;
  if (width == STRIPE) return addStripe(entry, end, job.gram + at, target + at);
  for (let e = entry; e < end; e += 8) {
    axpy(width, load<f32>(e, 4), job.gram + at + <usize>load<i32>(e), target + at);
  }
}

function addStripe(entry: usize, end: usize, gram: usize, target: usize): void {
  let p0 = v128.load(target);
  let p1 = v128.load(target, 16);
  let p2 = v128.load(target, 32);
  let p3 = v128.load(target, 48);
  let p4 = v128.load(target, 64);
  let p5 = v128.load(target, 80);
  let p6 = v128.load(target, 96);
  let p7 = v128.load(target, 112);
  for (; entry < end; entry += 8) {
    const row = gram + <usize>load<i32>(entry);
    const factor = v128.load32_splat(entry, 4);
    p0 = f32x4.add(p0, f32x4.mul(factor, v128.load(row)));
    p1 = f32x4.add(p1, f32x4.mul(factor, v128.load(row, 16)));
    p2 = f32x4.add(p2, f32x4.mul(factor, v128.load(row, 32)));
    p3 = f32x4.add(p3, f32x4.mul(factor, v128.load(row, 48)));
    p4 = f32x4.add(p4, f32x4.mul(factor, v128.load(row, 64)));
    p5 = f32x4.add(p5, f32x4.mul(factor, v128.load(row, 80)));
    p6 = f32x4.add(p6, f32x4.mul(factor, v128.load(row, 96)));
    p7 = f32x4.add(p7, f32x4.mul(factor, v128.load(row, 112)));
  }
  v128.store(target, p0);
  v128.store(target, p1, 16);
  v128.store(target, p2, 32);
  v128.store(target, p3, 48);
  v128.store(target, p4, 64);
  v128.store(target, p5, 80);
  v128.store(target, p6, 96);
  v128.store(target, p7, 112);
}

function entryOf(v: i32, index: i32): usize {
  return job.entries + (<usize>(v * 2 * job.cols + index) << 3);
}

function endOf(v: i32): usize {
  return job.ends + (<usize>v << 2);
}

function markOf(v: i32, panel: i32): usize {
  return job.marks + (<usize>(v * job.panels + panel) << 2);
}
