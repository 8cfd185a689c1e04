/**
 * Weights that make up for inputs which differ from those of the float model: W + share · W Δᵀ (Ĥ + damping)⁻¹, where X̂ is what
 * reaches a projection behind quantized layers, X what reaches it in the float model, Ĥ = X̂ᵀX̂ and Δ = X̂ᵀ(X - X̂). With share 1 and
 * no damping this is the least ‖XWᵀ - X̂Ŵᵀ‖². XᵀX in the place of Ĥ would serve every precision, but where the inputs have drifted
 * far it overshoots, each layer more than the one before (docs/decisions/quantized-prefix.md).
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

/** What quantized layers make of the inputs of a group; both [K, K] row-major and over the same number of rows. */
export interface Shift {
  /** X̂ᵀX̂. */
  readonly gram: Matrix;
  /** X̂ᵀ(X - X̂). */
  readonly change: Matrix;
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

/**
 * The corrected weights of projections that read the same input of `cols` elements. Inputs wider than `mostCols` are divided as if those
 * of different parts were uncorrelated, like in the solver itself.
 */
export async function correctWeights(
  pool: KernelPool,
  items: readonly CorrectItem[],
  cols: number,
  shift: Shift,
  options: CorrectOptions,
  mostCols: number = MOST_COLS,
): Promise<readonly Float32Array[]> {
  if (cols <= mostCols) return correctPart(pool, items, cols, shift, options);
  const corrected: (readonly Float32Array[])[] = [];
  for (const part of partsOf(cols, options.block, mostCols)) {
    const own = items.map(({ rows, weights }) => ({ rows, weights: columnsOf(weights, rows, cols, part) }));
    const within = { gram: diagonalOf(shift.gram, cols, part), change: diagonalOf(shift.change, cols, part) };
    corrected.push(await correctPart(pool, own, part.end - part.start, within, options));
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
  { gram, change }: Shift,
  { damping, share }: CorrectOptions,
): Promise<readonly Float32Array[]> {
  const prepared = await prepareGram(pool, gram, cols, damping);
  const turned = placeTurned(pool, change, cols);
  try {
    const out: Float32Array[] = [];
    for (const item of items) out.push(await correctOne(pool, item, prepared, turned, share));
    return out;
  } finally {
    pool.arena.release(turned);
    releaseGram(pool, prepared);
  }
}

/** The transpose as f32 [K, pitch]. */
function placeTurned({ arena }: KernelPool, matrix: Matrix, cols: number): number {
  const pitch = pitchOf(cols);
  const address = arena.allocate(cols * pitch * 4);
  const turned = arena.floats(address, cols * pitch).fill(0);
  for (let k = 0; k < cols; k++) for (let j = 0; j < cols; j++) turned[k * pitch + j] = matrix[j * cols + k] as number;
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
