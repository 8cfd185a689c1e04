/** The whole solver for one tile of rows, and the measure of what it reached. */

import { exchange, gradients, settleAll, sweep } from './descent';
import { gptqTile } from './gptq';
import * as job from './job';
import { padRow, residual } from './levels';
import { clear } from './journal';
import { deepGemm } from './linalg';
import { confineRow } from './pick';
import { chooseGrid, keepGrid } from './range';
import { refitLocally, refitTile } from './refit';

/**
 * Solves rows `begin` to `end`: range, rounded codes, tables, then GPTQ, then `rounds` times tables and `sweeps` sweeps of
 * descent, then the tables that belong to the final codes.
 */
export function solveRows(plan: usize, begin: i32, end: i32, scratch: usize): void {
  job.bind(plan, scratch);
  for (let first = begin; first < end; first += job.tile) solveTile(first, min(end, first + job.tile));
}

function solveTile(begin: i32, end: i32): void {
  for (let n = begin; n < end; n++) {
    padRow(n, n - begin);
    if (job.heldBits == 0) chooseGrid(n);
    else {
      keepGrid(n);
      confineRow(n);
    }
  }
  if (job.fitted < job.planes) {
    const goals = (end - begin) * job.goalRows;
    memory.fill(job.targets, 0, <usize>goals * job.span);
    deepGemm(goals, job.pitch, job.cols, job.padded, job.span, job.gram, job.span, job.targets, job.span);
  }
  if (job.method == 0) refitTile(begin, end, false, false);
  else {
    refitLocally(begin, end);
    gptqTile(begin, end);
  }
  for (let round = 0; round < job.rounds; round++) {
    if (round > 0 || job.method != 0) refitTile(begin, end, round > 0, false);
    descend(begin, end, round);
  }
  if (job.method != 0 || job.rounds > 0) refitTile(begin, end, job.rounds > 0, true);
}

function descend(begin: i32, end: i32, round: i32): void {
  const virtual = (end - begin) * job.planes;
  gradients(begin, end, round);
  for (let v = 0; v < virtual; v++) clear(v);
  for (let s = 0; s < job.sweeps; s++) {
    if (sweep(begin, end) == 0) break;
  }
  if (!job.sharing || job.fitted == 0) return;
  settleAll(virtual);
  exchange(end - begin, true);
}

/**
 * (g_r - ŵ_r) H (g_r - ŵ_r)ᵀ and g H gᵀ, of the first plane's goal, of every `errorStride`-th row: element e of the range is row
 * e * errorStride. Writes f64 [planes + 1] per row.
 */
export function measureRows(plan: usize, begin: i32, end: i32, scratch: usize): void {
  job.bind(plan, scratch);
  for (let first = begin; first < end; first += job.tile) measureTile(first, min(end, first + job.tile));
}

function measureTile(begin: i32, end: i32): void {
  const count = end - begin;
  const planes = job.planes;
  for (let i = 0; i < count; i++) {
    const n = (begin + i) * job.errorStride;
    padRow(n, i);
    for (let r = 0; r < planes; r++) residual(r, n, i, job.work + <usize>(i * planes + r) * job.span);
  }
  memory.fill(job.state, 0, <usize>(count * planes) * job.span);
  const goals = count * job.goalRows;
  memory.fill(job.targets, 0, <usize>goals * job.span);
  deepGemm(count * planes, job.pitch, job.cols, job.work, job.span, job.gram, job.span, job.state, job.span);
  deepGemm(goals, job.pitch, job.cols, job.padded, job.span, job.gram, job.span, job.targets, job.span);
  for (let i = 0; i < count; i++) {
    const target = job.errors + <usize>((begin + i) * (planes + 1)) * 8;
    for (let r = 0; r < planes; r++) {
      const at = <usize>(i * planes + r) * job.span;
      store<f64>(target + ((<usize>r) << 3), energy(job.work + at, job.state + at));
    }
    store<f64>(target + ((<usize>planes) << 3), energy(job.goalOf(i, 0), job.goalImageOf(i, 0)));
  }
}

function energy(x: usize, image: usize): f64 {
  let sum: f64 = 0;
  for (let k: usize = 0; k < job.span; k += 4) sum += <f64>load<f32>(x + k) * <f64>load<f32>(image + k);
  return sum;
}
