/**
 * Per-precision-residual GPTQ: the codes of a row from its first column to its last, one error-compensated copy of the row
 * per precision, so that the large error of a low precision never leaks into a high one. With method 2 a single copy carries
 * the mean residual (MatGPTQ). `state` holds the copies, f32 [tile, planes, pitch].
 */

import * as job from './job';
import { levelOf } from './levels';
import { axpy, gemm } from './linalg';
import { confine, gather, LANES, pick, prepare } from './pick';

/** Chooses the codes of rows `begin` to `end`, which are one tile with its weights padded. */
export function gptqTile(begin: i32, end: i32): void {
  const count = end - begin;
  const copies = job.method == 2 ? 1 : job.planes;
  for (let v = 0; v < count * copies; v++) {
    memory.copy(job.state + <usize>v * job.span, job.goalOf(v / copies, v % copies), job.span);
  }
  const pitch = (<usize>job.PANEL) << 2;
  for (let first = 0; first < job.cols; first += job.PANEL) {
    const last = min(job.cols, first + job.PANEL);
    for (let i = 0; i < count; i += LANES) panel(begin + i, i, min(LANES, count - i), first, last, copies);
    const right = first + job.PANEL;
    if (right >= job.cols) return;
    const factor = job.factor + <usize>first * job.span + ((<usize>right) << 2);
    const state = job.state + ((<usize>right) << 2);
    gemm(count * copies, job.pitch - right, last - first, job.deltas, pitch, factor, job.span, state, job.span);
  }
}

/**
 * Columns `first` to `last` of `count` rows from n on, at most as many as are picked for together; the first is row i of the
 * tile. Picks each code and feeds the errors into the rest of the panel.
 */
function panel(n: i32, i: i32, count: i32, first: i32, last: i32, copies: i32): void {
  for (let j = first; j < last; j++) {
    const u = j / job.block;
    if (j == first || j % job.block == 0) prepare(n, count, u);
    setGoals(i, count, j, copies);
    confine(n, count, j);
    v128.store(job.goals4, pick());
    for (let lane = 0; lane < count; lane++) {
      const q = load<i32>(job.goals4 + (<usize>lane << 2));
      store<u8>(job.codes + <usize>(n + lane) * job.cols + j, q);
      feed(n + lane, i + lane, u, j, q, first, copies);
    }
  }
}

/** The compensated weights are what the levels shall be. */
function setGoals(i: i32, count: i32, j: i32, copies: i32): void {
  const step = <usize>copies * job.span;
  let state = job.state + <usize>i * step + (<usize>j << 2);
  for (let r: usize = 0; r < <usize>job.planes; r++) {
    const root = r == 0 ? f32x4.splat(1) : v128.load32_splat(job.roots + (r << 2));
    const offset = v128.load(job.decode4 + (r << 5), 16);
    v128.store(job.goals4 + (r << 4), f32x4.sub(offset, f32x4.mul(root, gather(state, step, count))));
    if (copies > 1) state += job.span;
  }
}

/** Feeds the error of code q of column j into the rest of the panel of every copy. */
function feed(n: i32, i: i32, u: i32, j: i32, q: i32, first: i32, copies: i32): void {
  const left = (j + 1) & ~3;
  const width = min(job.pitch, first + job.PANEL) - left;
  const factor = job.factor + <usize>j * job.span + (<usize>left << 2);
  for (let c = 0; c < copies; c++) {
    const v = i * copies + c;
    const goal = load<f32>(job.goalOf(i, c) + (<usize>j << 2));
    const d = goal - (copies == job.planes ? levelOf(c, n, u, q) : meanLevel(n, u, q));
    store<f32>(job.deltas + (<usize>(v * job.PANEL + j - first) << 2), d);
    axpy(width, d, factor, job.state + <usize>v * job.span + (<usize>left << 2));
  }
}

/** The mean over the precisions of what code q stands for. */
function meanLevel(n: i32, u: i32, q: i32): f32 {
  let sum: f32 = 0;
  let count: f32 = 0;
  for (let r = 0; r < job.planes; r++) {
    if (job.lambda(r) == 0) continue;
    sum += levelOf(r, n, u, q);
    count += 1;
  }
  return sum / count;
}
