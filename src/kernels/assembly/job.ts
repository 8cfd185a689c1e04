/**
 * What the solver kernels work on: one projection W [N, K], its Gram matrix H [K, pitch] and the nested parent under way.
 * `bind` reads the plan into globals of the thread's instance and lays out its scratch for one tile of rows.
 *
 * Precisions are planes 0 to `planes` - 1: the parent first, then the lower ones in descending order. Row i of a tile and
 * plane r make virtual row i * planes + r.
 */
import { PREFIX, sliceHalf, sliceTop } from './grid';
import { real, word } from './plan';

export let weights: usize = 0;
export let rows: i32 = 0;
export let cols: i32 = 0;
/** Row length of everything on K but W and the codes, see `pitchOf`; padding is zero. */
export let pitch: i32 = 0;
/** The same in bytes of float32. */
export let span: usize = 0;
export let block: i32 = 0;
export let blocks: i32 = 0;
export let gram: usize = 0;
/** R_ij / R_jj above the diagonal, [K, pitch]. */
export let factor: usize = 0;
/** Sums of each row of H over the blocks, f32 [K, blockPitch], and of those over the blocks again, f32 [blocks, blockPitch]. */
export let blockSums: usize = 0;
export let blockGram: usize = 0;
export let blockPitch: i32 = 0;
/** The first of them transposed, f32 [blocks, pitch]. */
export let turnedSums: usize = 0;
export let codes: usize = 0;
export let parentScale: usize = 0;
export let parentZero: usize = 0;
/** f32 [planes, 2, rows, blocks]: scales then offsets. */
export let tables: usize = 0;
export let slice: i32 = 0;
export let decode: i32 = 0;
export let grid: i32 = 0;
/** 0: MinMax; 1: ratios for codes with error feedback; 2: pairs of ratios for rounded codes. */
export let range: i32 = 0;
/** 0: round; 1: one error-compensated copy per precision; 2: one copy with the mean residual. */
export let method: i32 = 0;
export let rounds: i32 = 0;
export let sweeps: i32 = 0;
export let ridge: f64 = 0;
/** First plane whose table is fitted: 0 for a parent alone, 1 otherwise, `planes` when all are tied. */
export let fitted: i32 = 0;
export let planes: i32 = 0;
/** Parent codes that no lower slice tells apart come in cells of 2^cell. */
export let cell: i32 = 0;
/** f64 [planes, 2] per tile, and the rows of the error measure. */
export let errors: usize = 0;
export let errorStride: i32 = 0;
/** Leading bits of every code that are given and stay: 0, or those of `held`, u8 [N, K] parent codes. */
export let heldBits: i32 = 0;
export let held: usize = 0;
/** i32x4: the first parent code that each of four rows may take, for `pick.ts`. */
export let base4: usize = 0;
let bitsAt: usize = 0;
let lambdaAt: usize = 0;
/** Addresses of the goals of each plane, f32 [rows, K]. */
let goalsAt: usize = 0;

/** Rows of a tile. */
export let tile: i32 = 0;
/** Scratch: f32 [tile, planes, pitch] twice. */
export let state: usize = 0;
export let work: usize = 0;
/** Rows of goals per row of W: 1, or one per plane where the planes have goals of their own. */
export let goalRows: i32 = 1;
/** f32 [tile, goalRows, pitch]: the goals G of the tile times H. */
export let targets: usize = 0;
/** f32 [tile, goalRows, pitch]: what the levels shall come near to, with its padding: W unless a plane has a goal of its own. */
export let padded: usize = 0;
/** f32 [tile, planes, PANEL]: errors of the current columns. */
export let deltas: usize = 0;
/** The journal of the descent: see `journal.ts`. */
export let panels: i32 = 0;
export let entries: usize = 0;
export let ends: usize = 0;
export let marks: usize = 0;
/** Operands of `pick.ts`: tables and goals of four rows, f32x4 [planes, 2] and f32x4 [planes]. */
export let decode4: usize = 0;
export let goals4: usize = 0;
/** Per plane: f32 root of λ; i32 shift, addend and largest code of its slice. */
export let roots: usize = 0;
export let shifts: usize = 0;
export let halves: usize = 0;
export let tops: usize = 0;
/** f32 [tile * planes, 2, blocks, blocks]: products of the codes under H. */
export let products: usize = 0;
/** f64 [2 * blocks, 2 * blocks] and f64 [2 * blocks]. */
export let normal: usize = 0;
export let right: usize = 0;
/** For solving in float32: f32 [2 * blocks, 2 * blocks + 4], f32 [2 * blocks + 4], and f64 [2 * blocks] twice. */
export let triangle: usize = 0;
export let step: usize = 0;
export let solution: usize = 0;
export let rest: usize = 0;
/** Whether a fit keeps x_u H of every block for the gradients, f32 [tile * fitted planes, blocks, pitch]. */
export let sharing: bool = false;
export let images: usize = 0;
/** f32 [tile, planes not fitted, pitch]: their gradients between rounds. */
export let kept: usize = 0;
/** u8 [tile, K]: the codes of the last fit, which the images belong to. */
export let before: usize = 0;
/** f32 [blockPitch]: products of one block's codes with the block sums. */
export let sums: usize = 0;
/** End of the scratch. */
let top: usize = 0;

/** Columns handled together by GPTQ, and by the descent, which changes only some of them. */
export const PANEL: i32 = 64;
export const WIDEST: i32 = 128;
/** Most bytes that a thread keeps of images, and of products. */
const SCRATCH_BYTES: usize = 64_000_000;
/** Bytes of H above which it comes from main memory for every tile: then fewer, larger tiles. */
const GRAM_BYTES: usize = 4_000_000;

export function bits(plane: i32): i32 {
  return load<i32>(bitsAt + ((<usize>plane) << 2));
}

/** Weight of the plane in the objective. */
export function lambda(plane: i32): f32 {
  return load<f32>(lambdaAt + ((<usize>plane) << 2));
}

/** The goal of row i of the tile in a plane, and the same times H; both f32 [pitch]. */
export function goalOf(i: i32, plane: i32): usize {
  return padded + <usize>(i * goalRows + (goalRows == 1 ? 0 : plane)) * span;
}

export function goalImageOf(i: i32, plane: i32): usize {
  return targets + <usize>(i * goalRows + (goalRows == 1 ? 0 : plane)) * span;
}

/** The address of the goals of a plane, f32 [rows, K]. */
export function goalSource(plane: i32): usize {
  const own = <usize>load<i32>(goalsAt + ((<usize>plane) << 2));
  return own == 0 ? weights : own;
}

/** Notes what slicing and picking need of each plane. */
function notePlanes(): void {
  // Slices that round have their boundaries between those of the prefix.
  if (planes > 1) cell = bits(0) - bits(1) - (slice == PREFIX ? 0 : 1);
  for (let r = 0; r < planes; r++) {
    const at = <usize>r << 2;
    const shift = bits(0) - bits(r);
    store<f32>(roots + at, sqrt<f32>(lambda(r)));
    store<i32>(shifts + at, shift);
    store<i32>(halves + at, sliceHalf(slice, shift));
    store<i32>(tops + at, sliceTop(slice, bits(r), shift));
  }
}

/** The code of plane r that is cut from parent code q. */
export function codeOf(plane: i32, q: i32): i32 {
  const at = <usize>plane << 2;
  return min((q + load<i32>(halves + at)) >> load<i32>(shifts + at), load<i32>(tops + at));
}

/** Address of the scale of row n, block u; its offset lies `offsetAt()` bytes behind. */
export function scaleAt(plane: i32, n: i32, u: i32): usize {
  return tables + ((<usize>(2 * plane) * rows * blocks + <usize>n * blocks + u) << 2);
}

export function offsetAt(): usize {
  return (<usize>rows * blocks) << 2;
}

/** Columns of block u. */
export function blockWidth(u: i32): i32 {
  return min(block, cols - u * block);
}

/**
 * K rounded up to a multiple of 8 that is no multiple of 32: rows whose length is a power of two would all fall into the same
 * few sets of the cache (measured at K = 2048: the products take half the time).
 */
function pitchOf(cols: i32): i32 {
  const whole = (cols + 7) & ~7;
  return whole % 32 == 0 ? whole + 16 : whole;
}

export function bind(plan: usize, scratch: usize): void {
  weights = <usize>word(plan, 0);
  rows = word(plan, 1);
  cols = word(plan, 2);
  pitch = pitchOf(cols);
  span = (<usize>pitch) << 2;
  block = word(plan, 3);
  blocks = (cols + block - 1) / block;
  blockPitch = (blocks + 7) & ~7;
  gram = <usize>word(plan, 4);
  factor = <usize>word(plan, 5);
  blockSums = <usize>word(plan, 6);
  blockGram = blockSums + <usize>cols * blockPitch * 4;
  turnedSums = blockGram + <usize>blocks * blockPitch * 4;
  codes = <usize>word(plan, 7);
  tables = <usize>word(plan, 8);
  parentScale = <usize>word(plan, 9);
  parentZero = <usize>word(plan, 10);
  slice = word(plan, 11);
  decode = word(plan, 12);
  grid = word(plan, 13);
  range = word(plan, 14);
  method = word(plan, 15);
  rounds = word(plan, 16);
  sweeps = word(plan, 17);
  ridge = <f64>real(plan, 18);
  fitted = word(plan, 19);
  errors = <usize>word(plan, 20);
  errorStride = word(plan, 21);
  planes = word(plan, 22);
  heldBits = word(plan, 23);
  held = <usize>word(plan, 24);
  bitsAt = plan + 25 * 4;
  lambdaAt = bitsAt + 8 * 4;
  goalsAt = lambdaAt + 8 * 4;
  goalRows = load<i32>(goalsAt) == 0 ? 1 : planes;
  layOut(scratch);
  // Address 0 stands for a plan that is only measured.
  if (scratch == 0) return;
  notePlanes();
  memory.fill(base4, 0, 16);
}

/** Rows of a tile: the most that are worth it and whose scratch is not too large; below 20 regardless of images. */
function tileOf(): i32 {
  let rows = <usize>cols * span < GRAM_BYTES ? 20 : 60;
  const image = <usize>((planes - fitted) * blocks) * span;
  const product = <usize>(8 * planes * blocks) * blocks;
  while (rows > 20 && (<usize>rows * image > SCRATCH_BYTES || <usize>rows * product > SCRATCH_BYTES)) rows -= 20;
  while (rows > 4 && <usize>rows * product > SCRATCH_BYTES) rows -= 8;
  return rows;
}

function layOut(scratch: usize): void {
  tile = tileOf();
  const virtual = tile * planes;
  top = scratch;
  state = take(<usize>virtual * pitch);
  work = take(<usize>virtual * pitch);
  targets = take(<usize>(tile * goalRows) * pitch);
  padded = take(<usize>(tile * goalRows) * pitch);
  deltas = take(virtual * PANEL);
  panels = (cols + WIDEST - 1) / WIDEST;
  entries = take(<usize>(virtual * 4) * cols);
  ends = take(virtual);
  marks = take(virtual * panels);
  decode4 = take(8 * 8);
  goals4 = take(8 * 4);
  base4 = take(4);
  roots = take(8);
  shifts = take(8);
  halves = take(8);
  tops = take(8);
  products = take(<usize>virtual * 2 * blocks * blocks);
  normal = take(<usize>8 * blocks * blocks);
  right = take(<usize>4 * blocks);
  sums = take(blockPitch);
  triangle = take(<usize>(2 * blocks) * (2 * blocks + 4));
  step = take(2 * blocks + 4);
  solution = take(4 * blocks);
  rest = take(4 * blocks);
  before = take((<usize>(tile * cols) + 3) >> 2);
  kept = take(<usize>(tile * fitted) * pitch);
  const fits = tile * (planes - fitted);
  sharing = rounds > 0 && <usize>(fits * blocks) * span <= SCRATCH_BYTES;
  images = take(sharing ? <usize>(fits * blocks) * pitch : 0);
}

/** The next `count` floats of the scratch, aligned to 64 bytes. */
function take(count: usize): usize {
  const at = top;
  top += ((count << 2) + 63) & ~63;
  return at;
}

/** Bytes of scratch a thread needs for this plan. */
export function scratchBytes(plan: usize): i32 {
  bind(plan, 0);
  return <i32>top;
}

/** Rows that one range of this plan should hold. */
export function tileRows(plan: usize): i32 {
  bind(plan, 0);
  return tile;
}
