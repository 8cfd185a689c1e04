/**
 * Weights that make up for inputs which differ from those of the float model: W + share · W (C - Ĥ)ᵀ (Ĥ + damping)⁻¹, where X̂ is
 * what reaches a projection behind quantized layers, X what reaches it in the float model, Ĥ = X̂ᵀX̂ and C = X̂ᵀX. With share 1
 * and no damping this is the least ‖XWᵀ - X̂Ŵᵀ‖².
 */
import type { KernelPool } from '../../kernels/pool.js';
import { type PreparedGram, pitchOf, prepareGram, releaseGram } from './gram.js';
import { columnsOf, diagonalOf, MOST_COLS, partsOf, sideBySide } from './parts.js';

/** Weights [rows, K] to correct. */
export interface CorrectItem {
  readonly rows: number;
  readonly weights: Float32Array;
}

type Matrix = Float32Array | Float64Array;

/** What the inputs of a group are behind quantized layers; both [K, K] row-major and over the same number of rows. */
export interface Shift {
  /** X̂ᵀX̂. */
  readonly gram: Matrix;
  /** X̂ᵀX. */
  readonly cross: Matrix;
}

export interface CorrectOptions {
  /** How much of the correction is made. */
  readonly share: number;
  /** Relative to the mean of Ĥ's diagonal. */
  readonly damping: number;
  /** Columns of a block, where the solver divides columns into parts. */
  readonly block: number;
}

/** Rows of a tile, as in `assembly/correct.ts`. */
const TILE = 15;

/** The corrected weights of projections that read the same input. */
export async function correctWeights(
  pool: KernelPool,
  items: readonly CorrectItem[],
  cols: number,
  { gram, cross }: Shift,
  options: CorrectOptions,
  mostCols: number = MOST_COLS,
): Promise<readonly Float32Array[]> {
  const parts = cols <= mostCols ? [{ start: 0, end: cols }] : partsOf(cols, options.block, mostCols);
  const corrected: (readonly Float32Array[])[] = [];
  for (const part of parts) {
    const own = items.map(({ rows, weights }) => ({ rows, weights: columnsOf(weights, rows, cols, part) }));
    const shift = { gram: diagonalOf(gram, cols, part), cross: diagonalOf(cross, cols, part) };
    corrected.push(await correctPart(pool, own, part.end - part.start, shift, options));
  }
  return items.map(({ rows }, at) =>
    sideBySide(
      corrected.map((each) => each[at] as Float32Array),
      rows,
      Float32Array,
    ),
  );
}

async function correctPart(
  pool: KernelPool,
  items: readonly CorrectItem[],
  cols: number,
  shift: Shift,
  options: CorrectOptions,
): Promise<readonly Float32Array[]> {
  const prepared = await prepareGram(pool, shift.gram, cols, options.damping);
  const change = placeChange(pool, shift, cols);
  try {
    const out: Float32Array[] = [];
    for (const item of items) out.push(await correctOne(pool, item, prepared, change, options.share));
    return out;
  } finally {
    pool.arena.release(change);
    releaseGram(pool, prepared);
  }
}

/** (C - Ĥ)ᵀ as f32 [K, pitch]; an input that is always zero behind quantized layers has a row and a column of zeros. */
function placeChange({ arena }: KernelPool, { gram, cross }: Shift, cols: number): number {
  const pitch = pitchOf(cols);
  const address = arena.allocate(cols * pitch * 4);
  const change = arena.floats(address, cols * pitch).fill(0);
  for (let k = 0; k < cols; k++)
    for (let j = 0; j < cols; j++)
      change[k * pitch + j] = (cross[j * cols + k] as number) - (gram[j * cols + k] as number);
  return address;
}

async function correctOne(
  pool: KernelPool,
  { rows, weights }: CorrectItem,
  { cols, factor, pivots }: PreparedGram,
  change: number,
  share: number,
): Promise<Float32Array> {
  const { arena } = pool;
  const source = arena.place(weights);
  const target = arena.allocate(weights.byteLength);
  const plan = arena.plan([source, cols, pitchOf(cols), change, factor, pivots, target, 0]);
  arena.floats(plan, 8)[7] = share;
  await pool.run({ kernel: 'correctRows', plan, count: rows, chunk: TILE, scratch: 2 * TILE * pitchOf(cols) * 4 });
  const corrected = arena.floats(target, weights.length).slice();
  for (const address of [source, target, plan]) arena.release(address);
  return corrected;
}
