/** What the solver derives from a Gram matrix once: a clean padded copy, and its sums over the blocks. */

import * as job from './job';
import { word } from './plan';

/** Plan of `gramCopy`, in 32-bit words. Mirrored by `src/solve/kernel/gram.ts`. */
const SOURCE: i32 = 0;
const COLS: i32 = 1;
const PITCH: i32 = 2;
const TARGET: i32 = 3;
/** 1 when the source is float64. */
const WIDE: i32 = 4;
/** f64 [K]: the diagonal, with the mean in the place of inputs that were always zero. */
const DIAGONAL: i32 = 5;
/** u8 [K]: 1 for those inputs. */
const DEAD: i32 = 6;

/** Rows `begin` to `end` of the Gram matrix as f32 [K, pitch]; inputs that were always zero get a row of their own. */
export function gramCopy(plan: usize, begin: i32, end: i32, scratch: usize): void {
  const cols = word(plan, COLS);
  const pitch = word(plan, PITCH);
  const dead = <usize>word(plan, DEAD);
  for (let i = begin; i < end; i++) {
    const target = <usize>word(plan, TARGET) + ((<usize>i * pitch) << 2);
    for (let j = 0; j < pitch; j++) {
      const off = j >= cols || load<u8>(dead + i) || load<u8>(dead + j);
      store<f32>(target + ((<usize>j) << 2), off ? 0 : element(plan, <usize>i * cols + j));
    }
    store<f32>(target + ((<usize>i) << 2), <f32>load<f64>(<usize>word(plan, DIAGONAL) + ((<usize>i) << 3)));
  }
}

function element(plan: usize, index: usize): f32 {
  const source = <usize>word(plan, SOURCE);
  return word(plan, WIDE) ? <f32>load<f64>(source + (index << 3)) : load<f32>(source + (index << 2));
}

/** Rows `begin` to `end` of the sums of H over the blocks of a job. */
export function blockSums(plan: usize, begin: i32, end: i32, scratch: usize): void {
  job.bind(plan, scratch);
  for (let k = begin; k < end; k++) {
    const source = job.gram + <usize>k * job.span;
    for (let u = 0; u < job.blockPitch; u++) {
      let sum: f64 = 0;
      for (let i = 0; u < job.blocks && i < job.blockWidth(u); i++)
        sum += <f64>load<f32>(source + ((<usize>(u * job.block + i)) << 2));
      store<f32>(job.blockSums + ((<usize>k * job.blockPitch + u) << 2), <f32>sum);
      if (u < job.blocks) store<f32>(job.turnedSums + <usize>u * job.span + (<usize>k << 2), <f32>sum);
    }
  }
}

/** Rows `begin` to `end` (blocks) of those sums over the blocks again; ends the padding of the transposed sums. */
export function blockGram(plan: usize, begin: i32, end: i32, scratch: usize): void {
  job.bind(plan, scratch);
  const pitch = (<usize>job.blockPitch) << 2;
  for (let u = begin; u < end; u++) {
    memory.fill(job.turnedSums + <usize>u * job.span + (<usize>job.cols << 2), 0, <usize>(job.pitch - job.cols) << 2);
    for (let v: usize = 0; v < pitch; v += 4) {
      let sum: f64 = 0;
      for (let i = 0; i < job.blockWidth(u); i++)
        sum += <f64>load<f32>(job.blockSums + <usize>(u * job.block + i) * pitch + v);
      store<f32>(job.blockGram + <usize>u * pitch + v, <f32>sum);
    }
  }
}
