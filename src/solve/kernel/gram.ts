/** Gram matrices made ready for the solver: a clean copy in the memory of the kernels, and the factor of the error feedback. */
import { fail } from '../../diagnostics.js';
import type { Arena } from '../../kernels/arena.js';
import type { KernelPool } from '../../kernels/pool.js';

/** H = XᵀX / tokens [K, K] of a projection's input, ready for any number of projections that read it. */
export interface PreparedGram {
  readonly cols: number;
  /** Damping that the factorization needed, in means of the diagonal; 0 without a factor. */
  readonly damping: number;
  /** Inputs that were always zero: their weights are rounded plainly. */
  readonly dead: readonly number[];
  /** Address of f32 [K, pitch]. */
  readonly gram: number;
  /** Address of f32 [K, pitch], or 0. */
  readonly factor: number;
  /** Address of the pivots R_jj of the factored matrix, f64 [K]; 0 without a factor. */
  readonly pivots: number;
}

/** Columns eliminated at a time, as in `assembly/factor.ts`. */
const PANEL = 64;

/** Row length of a Gram matrix, as in `assembly/job.ts`: a multiple of 8 but not of 32. */
export function pitchOf(cols: number): number {
  const whole = Math.ceil(cols / 8) * 8;
  return whole % 32 === 0 ? whole + 16 : whole;
}

/** Copies a Gram matrix; with a damping also factors H + damping * mean(diag) I, ten times more where that fails, up to 1. */
export async function prepareGram(
  pool: KernelPool,
  gram: Float32Array | Float64Array,
  cols: number,
  damping: number | undefined,
): Promise<PreparedGram> {
  if (gram.length !== cols * cols) fail('statistics', 'gram', `${gram.length} values are no ${cols} x ${cols} matrix`);
  const { diagonal, dead, mean } = cleanDiagonal(gram, cols);
  // What stays is allocated first, so that the space of the copy's source serves the float64 matrix afterwards.
  const factor = damping === undefined ? 0 : pool.arena.allocate(cols * pitchOf(cols) * 4);
  const pivots = damping === undefined ? 0 : pool.arena.allocate(cols * 8);
  const address = await copyGram(pool, gram, cols, diagonal, dead);
  const prepared = { cols, dead, gram: address, factor, pivots };
  if (damping === undefined) return { ...prepared, damping: 0 };
  for (let amount = damping; amount <= 1; amount *= 10) {
    if (await factorGram(pool, prepared, amount * mean)) return { ...prepared, damping: amount };
  }
  releaseGram(pool, prepared);
  return fail('numeric', 'gram', `the ${cols} x ${cols} Gram matrix is not positive definite with damping up to 1`);
}

/** Gives the memory of a prepared Gram matrix back. */
export function releaseGram(pool: KernelPool, { gram, factor, pivots }: Omit<PreparedGram, 'damping'>): void {
  for (const address of [gram, factor, pivots]) if (address !== 0) pool.arena.release(address);
}

/** The diagonal with the mean of the live inputs at the dead ones. */
function cleanDiagonal(
  gram: Float32Array | Float64Array,
  cols: number,
): { diagonal: Float64Array; dead: readonly number[]; mean: number } {
  const diagonal = Float64Array.from({ length: cols }, (_, i) => gram[i * cols + i] ?? 0);
  const bad = diagonal.findIndex((value) => !(value >= 0 && Number.isFinite(value)));
  if (bad >= 0) fail('numeric', 'gram', `element ${bad} of the diagonal is ${diagonal[bad]}`);
  const dead = [...diagonal.keys()].filter((i) => diagonal[i] === 0);
  const live = cols - dead.length;
  const mean = live === 0 ? 1 : diagonal.reduce((sum, value) => sum + value, 0) / live;
  for (const i of dead) diagonal[i] = mean;
  return { diagonal, dead, mean };
}

async function copyGram(
  pool: KernelPool,
  gram: Float32Array | Float64Array,
  cols: number,
  diagonal: Float64Array,
  dead: readonly number[],
): Promise<number> {
  const { arena } = pool;
  const wide = gram instanceof Float64Array;
  const pitch = pitchOf(cols);
  // Whole vectors may be read past the last block of the last row.
  const target = arena.allocate(cols * pitch * 4 + 64);
  const source = arena.allocate(gram.byteLength);
  if (wide) arena.doubles(source, gram.length).set(gram);
  else arena.floats(source, gram.length).set(gram);
  const diagonalAt = arena.allocate(cols * 8);
  arena.doubles(diagonalAt, cols).set(diagonal);
  const deadAt = arena.allocate(cols);
  const marks = arena.bytes(deadAt, cols).fill(0);
  for (const i of dead) marks[i] = 1;
  const plan = arena.plan([source, cols, pitch, target, wide ? 1 : 0, diagonalAt, deadAt]);
  await pool.run({ kernel: 'gramCopy', plan, count: cols, chunk: 64 });
  for (const address of [source, diagonalAt, deadAt, plan]) arena.release(address);
  return target;
}

/** Factors H + amount I into `factor` and `pivots`, panel by panel from the last column. False when a pivot was not positive. */
async function factorGram(
  pool: KernelPool,
  { gram, factor, pivots, cols }: Omit<PreparedGram, 'damping'>,
  amount: number,
): Promise<boolean> {
  const { arena } = pool;
  const pitch = pitchOf(cols);
  const matrix = arena.allocate(cols * pitch * 8);
  const turned = arena.allocate(PANEL * pitch * 8);
  const damping = arena.allocate(8);
  const failed = arena.allocate(4);
  arena.doubles(damping, 1)[0] = amount;
  arena.words(failed, 1)[0] = 0;
  const plan = arena.plan([gram, cols, pitch, matrix, factor, 0, 0, turned, damping, failed, pivots]);
  await pool.run({ kernel: 'factorFill', plan, count: cols, chunk: 64 });
  for (let last = cols; last > 0; last = panelStart(last)) {
    if (!(await eliminate(pool, arena, plan, panelStart(last), last, failed))) break;
  }
  const done = arena.words(failed, 1)[0] === 0;
  if (done) await pool.run({ kernel: 'factorFinish', plan, count: cols, chunk: 64 });
  for (const address of [matrix, turned, damping, failed, plan]) arena.release(address);
  return done;
}

/** The panel that ends at `last` begins at a multiple of the panel width. */
const panelStart = (last: number): number => Math.floor((last - 1) / PANEL) * PANEL;

async function eliminate(
  pool: KernelPool,
  arena: Arena,
  plan: number,
  first: number,
  last: number,
  failed: number,
): Promise<boolean> {
  arena.words(plan + 20, 2).set([first, last]);
  await pool.run({ kernel: 'factorDiagonal', plan, count: 1, chunk: 1 });
  if (arena.words(failed, 1)[0] !== 0) return false;
  await pool.run({ kernel: 'factorPanel', plan, count: first, chunk: 128 });
  await pool.run({ kernel: 'factorUpdate', plan, count: first, chunk: 40 });
  return true;
}
