/** Row by row scores of logits by the WebAssembly kernel `scoreRows`: the one loop of an evaluation that touches every logit. */
import type { KernelPool } from '../kernels/pool.js';
import type { Logits } from './logits.js';

/** Scores of the first rows of some logits. */
export interface RowScores {
  /** log Σ exp(logit); not finite when a logit is not. */
  readonly logSums: Float64Array;
  /** The id with the largest logit, the lowest among equals; −1 when a logit is NaN. */
  readonly likeliest: Int32Array;
  /** KL(reference ‖ these), nats; zeros without a reference. */
  readonly divergences: Float64Array;
}

/** What candidates are compared with: logits and their own log sums. */
export interface ReferenceRows {
  readonly logits: Logits;
  readonly logSums: Float64Array;
}

/** Logits in the memory of the kernels at a time. */
const BATCH_BYTES = 64 << 20;
const DOUBLES = 4;

/** Scores rows `begin` to `end` of `logits`; results do not depend on the number of threads. */
export async function scoreRows(
  pool: KernelPool,
  logits: Logits,
  [begin, end]: readonly [number, number],
  reference?: ReferenceRows,
): Promise<RowScores> {
  const count = end - begin;
  const scores = {
    logSums: new Float64Array(count),
    likeliest: new Int32Array(count),
    divergences: new Float64Array(count),
  };
  const batch = Math.max(1, Math.min(count, Math.floor(BATCH_BYTES / (logits.vocabulary * 4 * (reference ? 2 : 1)))));
  for (let done = 0; done < count; done += batch) {
    const rows = Math.min(batch, count - done);
    const out = await scoreBatch(pool, logits, begin + done, rows, reference);
    for (let row = 0; row < rows; row++) {
      scores.likeliest[done + row] = out[row * DOUBLES] as number;
      scores.logSums[done + row] = out[row * DOUBLES + 1] as number;
      scores.divergences[done + row] = reference ? (out[row * DOUBLES + 2] as number) : 0;
    }
  }
  return scores;
}

/** Four doubles per row, as the kernel lays them out. */
async function scoreBatch(
  pool: KernelPool,
  logits: Logits,
  first: number,
  rows: number,
  reference: ReferenceRows | undefined,
): Promise<Float64Array> {
  const { arena } = pool;
  const own = stage(pool, logits, first, rows);
  const other = reference ? stage(pool, reference.logits, first, rows) : 0;
  const out = arena.allocate(rows * DOUBLES * 8);
  const plan = arena.plan([own, other, logits.vocabulary, out]);
  const results = arena.doubles(out, rows * DOUBLES);
  for (let row = 0; row < rows; row++) results[row * DOUBLES + 3] = reference?.logSums[first + row] ?? 0;
  await pool.run({ kernel: 'scoreRows', plan, count: rows, chunk: Math.max(1, Math.round(1e6 / logits.vocabulary)) });
  const copy = arena.doubles(out, rows * DOUBLES).slice();
  for (const address of reference ? [own, other, out, plan] : [own, out, plan]) arena.release(address);
  return copy;
}

/** Copies rows into the memory of the kernels. */
function stage({ arena }: KernelPool, logits: Logits, first: number, rows: number): number {
  const address = arena.allocate(rows * logits.vocabulary * 4);
  const target = arena.floats(address, rows * logits.vocabulary);
  for (let row = 0; row < rows; row++) target.set(logits.row(first + row), row * logits.vocabulary);
  return address;
}
