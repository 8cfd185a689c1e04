/**
 * The grid of the parent, block by block: the extremes of the weights (MatQuant eq. 1), or clipped extremes (eq. 3) chosen
 * from a list of ratios so that the tied decodes err least, Σ_r λ_r d_r H_uu d_rᵀ with the diagonal block of H.
 */
import { ASYMMETRIC, encode1, gridScale, gridZero, highest, lowest, SIGNED, tiedOffset } from './grid';
import { dot, gemm } from './linalg';
import * as job from './job';

/** Ratios tried: 1, 0.92, ... 0.44; then each end of an asymmetric range one step to either side of the best. */
const STEPS: i32 = 8;
const STEP: f32 = 0.08;
/**
 * For rounded codes, whose errors nothing takes back: ratios 1, .9, ... .3 of each end of an asymmetric range, then the eight
 * neighbours of the best pair at half of that distance, and again at a quarter.
 */
const PAIR_STEPS: i32 = 8;
const PAIR_STEP: f32 = 0.1;
const FINEST: f32 = 0.02;
/** Values of `job.range`. */
const MINMAX: i32 = 0;
const PAIRS: i32 = 2;
/**
 * How much more the parent's own error counts here than afterwards. Error feedback takes back most of what rounding costs but
 * little of what clipping does, so plain errors flatter clipping (Gemma 3 270M, block 128: int8 errs half as much as with 1).
 */
const PARENT: f32 = 8;

let low: f32 = 0;
let high: f32 = 0;
let least: f32 = 0;
let bestLow: f32 = 0;
let bestHigh: f32 = 0;
let scale: f32 = 0;
let zero: f32 = 0;

/** Sets scale and zero point of every block of row n. */
export function chooseGrid(n: i32): void {
  for (let u = 0; u < job.blocks; u++) {
    chooseRatios(n, u);
    setGrid(bestLow, bestHigh);
    note(n, u, scale, zero);
  }
}

/** For rows `begin` to `end`, the ratios of the ends of every block's range in the place of scale and zero point: low, then high. */
export function clipRows(plan: usize, begin: i32, end: i32, scratch: usize): void {
  job.bind(plan, scratch);
  for (let n = begin; n < end; n++) {
    for (let u = 0; u < job.blocks; u++) {
      chooseRatios(n, u);
      note(n, u, bestLow, bestHigh);
    }
  }
}

function note(n: i32, u: i32, first: f32, second: f32): void {
  const at = (<usize>n * job.blocks + u) << 2;
  store<f32>(job.parentScale + at, first);
  store<f32>(job.parentZero + at, second);
}

/** Finds the ratios of block u of row n. */
function chooseRatios(n: i32, u: i32): void {
  const w = job.weights + ((<usize>n * job.cols + u * job.block) << 2);
  low = lowest(w, job.blockWidth(u));
  high = highest(w, job.blockWidth(u));
  least = f32.MAX_VALUE;
  bestLow = 1;
  bestHigh = 1;
  if (job.range == PAIRS) searchPairs(n, u);
  else if (job.range != MINMAX) search(n, u);
}

function searchPairs(n: i32, u: i32): void {
  for (let s = 0; s < PAIR_STEPS; s++) {
    for (let t = 0; t < PAIR_STEPS; t++) {
      if (job.grid == ASYMMETRIC || s == t) attempt(n, u, 1 - PAIR_STEP * <f32>s, 1 - PAIR_STEP * <f32>t);
    }
  }
  for (let side = PAIR_STEP / 2; side > FINEST; side /= 2) attemptAround(n, u, bestLow, bestHigh, side);
}

/** The neighbours of a pair, `side` away; no end of a range moves out. */
function attemptAround(n: i32, u: i32, lowRatio: f32, highRatio: f32, side: f32): void {
  for (let s = -1; s <= 1; s++) {
    for (let t = -1; t <= 1; t++) {
      if ((s == 0 && t == 0) || (job.grid != ASYMMETRIC && s != t)) continue;
      const first = lowRatio + side * <f32>s;
      const second = highRatio + side * <f32>t;
      if (first <= 1 && second <= 1) attempt(n, u, first, second);
    }
  }
}

function search(n: i32, u: i32): void {
  for (let s = 0; s < STEPS; s++) {
    const ratio: f32 = 1 - STEP * <f32>s;
    attempt(n, u, ratio, ratio);
    // A negative ratio turns the sign of a signed scale.
    if (job.grid == SIGNED) attempt(n, u, -ratio, -ratio);
  }
  if (job.grid != ASYMMETRIC) return;
  const ratio = bestLow;
  for (let side: f32 = -STEP; side <= STEP; side += 2 * STEP) {
    if (ratio + side > 1) continue;
    attempt(n, u, ratio + side, ratio);
    attempt(n, u, ratio, ratio + side);
  }
}

function setGrid(lowRatio: f32, highRatio: f32): void {
  scale = gridScale(low * lowRatio, high * highRatio, job.grid, job.bits(0));
  zero = gridZero(low * lowRatio, scale, job.grid, job.bits(0));
}

/** Keeps the pair of ratios when it errs less than all before. */
function attempt(n: i32, u: i32, lowRatio: f32, highRatio: f32): void {
  setGrid(lowRatio, highRatio);
  const error = tiedError(n, u);
  if (error >= least) return;
  least = error;
  bestLow = lowRatio;
  bestHigh = highRatio;
}

/** Weighted error of block u of row n under the tied decodes of the grid at hand. */
function tiedError(n: i32, u: i32): f32 {
  const width = job.blockWidth(u);
  const start = <usize>(u * job.block);
  const w = job.weights + (((<usize>n * job.cols) + start) << 2);
  const top = <f32>((1 << job.bits(0)) - 1);
  for (let k = 0; k < width; k++) {
    const weight = load<f32>(w + (<usize>k << 2));
    const q = encode1(weight, scale, zero, top);
    for (let r = 0; r < job.planes; r++) {
      const shift = job.bits(0) - job.bits(r);
      const level = scale * <f32>(1 << shift) * <f32>job.codeOf(r, q) + tiedOffset(job.slice, shift, scale, zero);
      store<f32>(job.work + <usize>r * job.span + (<usize>k << 2), weight - level);
    }
  }
  const cols = (width + 7) & ~7;
  for (let r = 0; r < job.planes; r++) memory.fill(job.state + <usize>r * job.span, 0, <usize>cols << 2);
  const gram = job.gram + start * job.span + (start << 2);
  gemm(job.planes, cols, width, job.work, job.span, gram, job.span, job.state, job.span);
  let sum: f32 = 0;
  for (let r = 0; r < job.planes; r++) {
    const feedsBack = job.range != PAIRS && r == 0 && job.planes > 1;
    const weight = feedsBack ? PARENT * job.lambda(0) : job.lambda(r);
    sum += weight * dot(job.work + <usize>r * job.span, job.state + <usize>r * job.span, width);
  }
  return sum;
}
