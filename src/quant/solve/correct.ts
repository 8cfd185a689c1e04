/**
 * Weights that make up for inputs which differ from those of the float model: W + share · W (C - Ĥ)ᵀ (H + damping)⁻¹, where X̂ is
 * what reaches a projection behind quantized layers, X what reaches it in the float model, Ĥ = X̂ᵀX̂, C = X̂ᵀX and H = XᵀX. With Ĥ in
 * the place of H, share 1 and no damping this is the least ‖XWᵀ - X̂Ŵᵀ‖²; H differs in second order, serves every precision, and
 * is as good (docs/decisions.md).
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
 * For each of the changes C - Ĥ [K, K] row-major, the corrected weights of projections that read the same input of `cols` elements.
 * `gram` is H [K, K]. Changes are asked for one by one: for wide inputs each takes gigabytes.
 */
export async function* correctWeights(
  pool: KernelPool,
  items: readonly CorrectItem[],
  cols: number,
  gram: Matrix,
  changes: AsyncIterable<Matrix>,
  options: CorrectOptions,
  mostCols: number = MOST_COLS,
): AsyncGenerator<readonly Float32Array[]> {
  const parts = cols <= mostCols ? [] : partsOf(cols, options.block, mostCols);
  const whole = parts.length === 0 ? await prepareGram(pool, gram, cols, options.damping) : undefined;
  try {
    for await (const change of changes) {
      if (whole !== undefined) yield await correctBy(pool, items, whole, change, options.share);
      else yield await correctInParts(pool, items, cols, gram, change, options, parts);
    }
  } finally {
    if (whole !== undefined) releaseGram(pool, whole);
  }
}

/** As if inputs of different parts were uncorrelated, like the solver itself. */
async function correctInParts(
  pool: KernelPool,
  items: readonly CorrectItem[],
  cols: number,
  gram: Matrix,
  change: Matrix,
  { damping, share }: CorrectOptions,
  parts: ReturnType<typeof partsOf>,
): Promise<readonly Float32Array[]> {
  const corrected: (readonly Float32Array[])[] = [];
  for (const part of parts) {
    const own = items.map(({ rows, weights }) => ({ rows, weights: columnsOf(weights, rows, cols, part) }));
    const prepared = await prepareGram(pool, diagonalOf(gram, cols, part), part.end - part.start, damping);
    try {
      corrected.push(await correctBy(pool, own, prepared, diagonalOf(change, cols, part), share));
    } finally {
      releaseGram(pool, prepared);
    }
  }
  return items.map(({ rows }, at) =>
    sideBySide(
      corrected.map((each) => each[at] as Float32Array),
      rows,
      Float32Array,
    ),
  );
}

async function correctBy(
  pool: KernelPool,
  items: readonly CorrectItem[],
  prepared: PreparedGram,
  change: Matrix,
  share: number,
): Promise<readonly Float32Array[]> {
  const address = placeTurned(pool, change, prepared.cols);
  try {
    const out: Float32Array[] = [];
    for (const item of items) out.push(await correctOne(pool, item, prepared, address, share));
    return out;
  } finally {
    pool.arena.release(address);
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
