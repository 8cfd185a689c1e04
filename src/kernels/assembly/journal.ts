/**
 * What changed in the virtual rows of a tile, in the order of time: entries of a column and by how much. Columns are worked on in
 * panels; a panel takes over all that has changed since its last turn when its next one comes. So its columns stay in the cache while
 * many entries are added to them, and whatever nobody asks for is never added.
 *
 * Of each virtual row: up to 2 K entries, i32 where the row of H begins in bytes and f32 the change; their number; and per panel the
 * number of entries when its turn ended.
 */
import * as job from './job';
import { axpy } from './linalg';

/** Columns that the few entries of a block are added to while their rows of H are in the second-level cache. */
export const STRIPE: i32 = 512;

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
 * `target`; width is a multiple of 8.
 */
export function add(v: i32, panel: i32, k: i32, width: i32, target: usize): void {
  const at = <usize>k << 2;
  const size = <usize>width << 2;
  let entry = entryOf(v, load<i32>(markOf(v, panel)));
  const end = entryOf(v, load<i32>(endOf(v)));
  for (; entry + 32 <= end; entry += 32) addFour(entry, job.gram + at, target + at, size);
  for (; entry < end; entry += 8) axpy(width, load<f32>(entry, 4), job.gram + at + <usize>load<i32>(entry), target + at);
}

/** Four entries at once, so that the target is read and written a fourth as often. */
function addFour(entry: usize, gram: usize, target: usize, size: usize): void {
  const a = gram + <usize>load<i32>(entry);
  const b = gram + <usize>load<i32>(entry, 8);
  const c = gram + <usize>load<i32>(entry, 16);
  const d = gram + <usize>load<i32>(entry, 24);
  const fa = v128.load32_splat(entry, 4);
  const fb = v128.load32_splat(entry, 12);
  const fc = v128.load32_splat(entry, 20);
  const fd = v128.load32_splat(entry, 28);
  for (let k: usize = 0; k < size; k += 32) {
    let p = f32x4.add(v128.load(target + k), f32x4.mul(fa, v128.load(a + k)));
    let q = f32x4.add(v128.load(target + k, 16), f32x4.mul(fa, v128.load(a + k, 16)));
    p = f32x4.add(p, f32x4.mul(fb, v128.load(b + k)));
    q = f32x4.add(q, f32x4.mul(fb, v128.load(b + k, 16)));
    p = f32x4.add(p, f32x4.mul(fc, v128.load(c + k)));
    q = f32x4.add(q, f32x4.mul(fc, v128.load(c + k, 16)));
    p = f32x4.add(p, f32x4.mul(fd, v128.load(d + k)));
    q = f32x4.add(q, f32x4.mul(fd, v128.load(d + k, 16)));
    v128.store(target + k, p);
    v128.store(target + k, q, 16);
  }
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
