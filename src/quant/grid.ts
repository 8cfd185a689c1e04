/**
 * The grid of the parent: blocks along K, a range per block, and codes q = clamp(round(w/α + z)) with an integer zero point
 * (MatQuant eq. 1; eq. 3 when the range is clipped). Weights are float32 [rows, K] row-major, codes one byte each.
 */
import { fail } from '../diagnostics.js';
import { FLOAT16_TINY } from '../onnx/ir/half.js';

/** How K columns split into blocks; the last block may be shorter. */
export interface Blocks {
  readonly k: number;
  /** Weights per block. */
  readonly block: number;
  /** Blocks per row, ⌈k / block⌉. */
  readonly count: number;
  /** Weights in the last block, 1…block. */
  readonly tail: number;
}

/** `channel` is one block per row. */
export function blocksOf(k: number, block: number | 'channel'): Blocks {
  const size = block === 'channel' ? k : block;
  if (!isCount(k) || !isCount(size)) fail('bad-usage', 'block', `${k} columns do not split into blocks of ${block}`);
  const count = Math.ceil(k / size);
  return { k, block: size, count, tail: k - (count - 1) * size };
}

const isCount = (value: number): boolean => Number.isSafeInteger(value) && value > 0;

/** The smallest and largest weight of every block, [rows, count] each. */
export interface Ranges {
  readonly low: Float32Array;
  readonly high: Float32Array;
}

/**
 * How a range becomes a grid. `asymmetric`: [low, high] widened to hold 0. `symmetric`: z = 2^(b−1), α = max|w| / (2^(b−1) − 1).
 * `signed`: z = 2^(b−1) and a scale of either sign, so that code 0, the end with one more level, is the larger extreme.
 */
export type RangeKind = 'asymmetric' | 'symmetric' | 'signed';

/** Scale α and integer zero point z of every block, [rows, count] each: w ≈ α · (q − z). */
export interface Grid {
  readonly scale: Float32Array;
  readonly zero: Uint8Array;
}

/** The plain ranges of the weights. A weight that is not finite is an error. */
export function minMax(weights: Float32Array, rows: number, blocks: Blocks): Ranges {
  const low = new Float32Array(rows * blocks.count);
  const high = new Float32Array(rows * blocks.count);
  for (let b = 0; b < low.length; b++) {
    const { from, to } = blockSpan(b, blocks);
    let least = Infinity;
    let most = -Infinity;
    let sum = 0;
    for (let i = from; i < to; i++) {
      const w = weights[i] as number;
      if (w < least) least = w;
      if (w > most) most = w;
      sum += w;
    }
    if (!Number.isFinite(sum)) fail('not-finite', `row ${Math.floor(b / blocks.count)}`, 'a weight is NaN or infinite');
    low[b] = least;
    high[b] = most;
  }
  return { low, high };
}

/** The grid of `bits`-bit codes over these ranges. */
export function gridOf(ranges: Ranges, kind: RangeKind, bits = 8): Grid {
  const { low, high } = ranges;
  const scale = new Float32Array(low.length);
  const zero = new Uint8Array(low.length);
  for (let b = 0; b < scale.length; b++) {
    const alpha = Math.fround(scaleOf(low[b] as number, high[b] as number, kind, bits));
    // A block without a range keeps a positive scale that float16 can store, and its codes stay at the zero point.
    scale[b] = Math.abs(alpha) < 2 ** -126 ? FLOAT16_TINY : alpha;
    zero[b] =
      kind === 'asymmetric' ? roundEven(-Math.min(low[b] as number, 0) / (scale[b] as number)) : 2 ** (bits - 1);
  }
  return { scale, zero };
}

function scaleOf(low: number, high: number, kind: RangeKind, bits: number): number {
  if (kind === 'asymmetric') return (Math.max(high, 0) - Math.min(low, 0)) / (2 ** bits - 1);
  const half = 2 ** (bits - 1);
  if (kind === 'symmetric') return Math.max(Math.abs(low), Math.abs(high)) / Math.max(half - 1, 1);
  return -(Math.abs(low) > Math.abs(high) ? low : high) / half;
}

/** Codes of the weights, [rows, K]; rounds half to even, as QuantizeLinear does. */
export function encode(weights: Float32Array, rows: number, blocks: Blocks, grid: Grid, bits = 8): Uint8Array {
  const codes = new Uint8Array(rows * blocks.k);
  const top = 2 ** bits - 1;
  for (let b = 0; b < grid.scale.length; b++) {
    const { from, to } = blockSpan(b, blocks);
    const alpha = grid.scale[b] as number;
    const zero = grid.zero[b] as number;
    for (let i = from; i < to; i++) {
      const q = roundEven((weights[i] as number) / alpha + zero);
      codes[i] = Math.max(0, Math.min(q, top));
    }
  }
  return codes;
}

/** Weights of the codes of a grid, α · (q − z), [rows, K]. */
export function decode(codes: Uint8Array, rows: number, blocks: Blocks, grid: Grid): Float32Array {
  const weights = new Float32Array(rows * blocks.k);
  for (let b = 0; b < grid.scale.length; b++) {
    const { from, to } = blockSpan(b, blocks);
    const alpha = grid.scale[b] as number;
    const zero = grid.zero[b] as number;
    for (let i = from; i < to; i++) weights[i] = alpha * ((codes[i] as number) - zero);
  }
  return weights;
}

/** Where block `b`, counted row-major over [rows, count], lies in a [rows, K] array. */
export function blockSpan(b: number, blocks: Blocks): { readonly from: number; readonly to: number } {
  const row = Math.floor(b / blocks.count);
  const column = (b - row * blocks.count) * blocks.block;
  const from = row * blocks.k + column;
  return { from, to: from + Math.min(blocks.block, blocks.k - column) };
}

/** Rounds half to even. Adding 1.5 · 2^52 leaves no bits below the unit, so that the addition itself rounds; |x| < 2^51. */
export function roundEven(x: number): number {
  return x + 6755399441055744 - 6755399441055744;
}
