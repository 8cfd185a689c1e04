/**
 * The grid of the parent, block by block: the extremes of the weights (MatQuant eq. 1), or clipped extremes (eq. 3) chosen
 * from a list of ratios so that the tied decodes err least, Σ_r λ_r d_r H_uu d_rᵀ with the diagonal block of H.
 */
import { ASYMMETRIC, gridScale, gridZero, highest, lowest, SIGNED } from './grid';
import { dot, gemm } from './linalg';
import * as job from './job';
import { residualBlock, roundBlock, tieBlock } from './levels';

/** Ratios tried: 1, 0.92, ... 0.44; then each end of an asymmetric range one step to either side of the best. */
const STEPS: i32 = 8;
const STEP: f32 = 0.08;
/** Ratios in a row without gain after which narrower ones are not tried. */
const PATIENCE: i32 = 2;
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
/** Columns of H multiplied at a time. */
const STRIP: i32 = 32;

let low: f32 = 0;
let high: f32 = 0;
let least: f32 = 0;
let bestLow: f32 = 0;
let bestHigh: f32 = 0;

/** Sets scale and zero point, rounded codes and tied tables of every block of row n. */
export function chooseGrid(n: i32): void {
  for (let u = 0; u < job.blocks; u++) {
    chooseRatios(n, u);
    useGrid(n, u, bestLow, bestHigh);
  }
}

/** The same on the scale and zero point that are there. */
export function keepGrid(n: i32): void {
  for (let u = 0; u < job.blocks; u++) {
    roundBlock(n, u);
    tieBlock(n, u);
  }
}

/** For rows `begin` to `end`, the ratios of the ends of every block's range in the place of scale and zero point: low, then high. */
export function clipRows(plan: usize, begin: i32, end: i32, scratch: usize): void {
  job.bind(plan, scratch);
  for (let n = begin; n < end; n++) {
    for (let u = 0; u < job.blocks; u++) {
      chooseRatios(n, u);
      const at = (<usize>n * job.blocks + u) << 2;
      store<f32>(job.parentScale + at, bestLow);
      store<f32>(job.parentZero + at, bestHigh);
    }
  }
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
  let idle = 0;
  for (let s = 0; s < STEPS && idle < PATIENCE; s++) {
    const before = least;
    const ratio: f32 = 1 - STEP * <f32>s;
    attempt(n, u, ratio, ratio);
    // A negative ratio turns the sign of a signed scale.
    if (job.grid == SIGNED) attempt(n, u, -ratio, -ratio);
    idle = least < before ? 0 : idle + 1;
  }
  if (job.grid != ASYMMETRIC) return;
  const ratio = bestLow;
  for (let side: f32 = -STEP; side <= STEP; side += 2 * STEP) {
    if (ratio + side > 1) continue;
    attempt(n, u, ratio + side, ratio);
    attempt(n, u, ratio, ratio + side);
  }
}

/** Block u of row n on the grid of a pair of ratios. */
function useGrid(n: i32, u: i32, lowRatio: f32, highRatio: f32): void {
  const scale = gridScale(low * lowRatio, high * highRatio, job.grid, job.bits(0));
  const at = (<usize>n * job.blocks + u) << 2;
  store<f32>(job.parentScale + at, scale);
  store<f32>(job.parentZero + at, gridZero(low * lowRatio, scale, job.grid, job.bits(0)));
  roundBlock(n, u);
  tieBlock(n, u);
}

/** Keeps the pair of ratios when it errs less than all before. */
function attempt(n: i32, u: i32, lowRatio: f32, highRatio: f32): void {
  useGrid(n, u, lowRatio, highRatio);
  const error = weightedError(n, u);
  if (error >= least) return;
  least = error;
  bestLow = lowRatio;
  bestHigh = highRatio;
}

/** Error of block u of row n as it stands, all precisions. H is symmetric: what a strip has with those before it counts twice. */
function weightedError(n: i32, u: i32): f32 {
  const first = u * job.block;
  const end = first + job.blockWidth(u);
  for (let r = 0; r < job.planes; r++) {
    residualBlock(r, n, u, job.weights + (<usize>(n * job.cols) << 2), job.work + <usize>r * job.span);
    clear(r, first, end);
  }
  let sum: f32 = 0;
  for (let k = first; k < end; k += STRIP) {
    const width = min(STRIP, end - k);
    const at = <usize>k << 2;
    sum += 2 * weightedProduct(k, width);
    for (let r = 0; r < job.planes; r++) clear(r, k, k + width);
    const gram = job.gram + <usize>k * job.span + at;
    gemm(job.planes, (end - k + 7) & ~7, width, job.work + at, job.span, gram, job.span, job.state + at, job.span);
    sum += weightedProduct(k, width);
  }
  return sum;
}

/** Σ_r λ_r d_r x_r over `width` columns from k on, with the products x so far. */
function weightedProduct(k: i32, width: i32): f32 {
  let sum: f32 = 0;
  for (let r = 0; r < job.planes; r++) {
    const feedsBack = job.range != PAIRS && r == 0 && job.planes > 1;
    const weight = feedsBack ? PARENT * job.lambda(0) : job.lambda(r);
    const at = <usize>r * job.span + (<usize>k << 2);
    sum += weight * dot(job.work + at, job.state + at, width);
  }
  return sum;
}

function clear(plane: i32, first: i32, end: i32): void {
  memory.fill(job.state + <usize>plane * job.span + (<usize>first << 2), 0, <usize>(end - first) << 2);
}
