/**
 * Per-precision-residual GPTQ: the codes of a row from its first column to its last, one error-compensated copy of the row
 * per precision, so that the large error of a low precision never leaks into a high one. With method 2 a single copy carries
 * the mean residual (MatGPTQ). `state` holds the copies, f32 [tile, planes, pitch].
 */

import * as job from './job';
import { levelOf } from './levels';
import { axpy, gemm } from './linalg';
import { pick, prepareLevels } from './pick';

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
    for (let i = 0; i < count; i++) panel(begin + i, i, first, last, copies);
    const right = first + job.PANEL;
    if (right >= job.cols) return;
    const factor = job.factor + <usize>first * job.span + ((<usize>right) << 2);
    const state = job.state + ((<usize>right) << 2);
    gemm(count * copies, job.pitch - right, last - first, job.deltas, pitch, factor, job.span, state, job.span);
  }
}

/** Columns `first` to `last` of row n: picks each code and feeds the errors into the rest of the panel. */
function panel(n: i32, i: i32, first: i32, last: i32, copies: i32): void {
  const state = job.state + <usize>(i * copies) * job.span;
  const deltas = job.deltas + <usize>(i * copies * job.PANEL) * 4;
  const end = min(job.pitch, first + job.PANEL);
  for (let j = first; j < last; j++) {
    const u = j / job.block;
    const column = (<usize>j) << 2;
    if (j % job.block == 0) prepareLevels(n, u, i);
    for (let r = 0; r < job.planes; r++) {
      store<f32>(job.goals + ((<usize>r) << 2), load<f32>(state + (copies == 1 ? 0 : <usize>r * job.span) + column));
    }
    const q = pick(n, u, i);
    store<u8>(job.codes + <usize>n * job.cols + j, q);
    const left = (j + 1) & ~3;
    const factor = job.factor + <usize>j * job.span + ((<usize>left) << 2);
    for (let c = 0; c < copies; c++) {
      const d = load<f32>(job.goalOf(i, c) + column) - (copies == job.planes ? levelOf(c, n, u, q) : meanLevel(n, u, q));
      store<f32>(deltas + ((<usize>(c * job.PANEL + j - first)) << 2), d);
      axpy(end - left, d, factor, state + <usize>c * job.span + ((<usize>left) << 2));
    }
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
