/** What a solution is worth: its error under H against plain rounding of each precision by itself, on a sample of rows. */
import type { KernelPool } from '../../kernels/pool.js';
import type { Precision } from '../../quant/precision.js';
import type { PreparedGram } from './gram.js';
import type { PrecisionError, SolveOptions } from './options.js';
import { type Job, makeJob, releaseJob } from './plan.js';

/** Rows measured, spread evenly: enough for a report, and a few per cent of the time. */
const SAMPLE = 30;

export async function measure(
  pool: KernelPool,
  job: Job,
  weights: Float32Array,
  prepared: PreparedGram,
  options: SolveOptions,
): Promise<ReadonlyMap<Precision, PrecisionError>> {
  const stride = Math.max(1, Math.floor(job.rows / SAMPLE));
  const count = Math.min(SAMPLE, job.rows);
  const { cols } = job;
  const after = await errors(pool, job, stride, count);
  const { arena } = pool;
  const sample = arena.allocate(count * cols * 4);
  const rows = arena.floats(sample, count * cols);
  for (let e = 0; e < count; e++) rows.set(weights.subarray(e * stride * cols, (e * stride + 1) * cols), e * cols);
  const result = new Map<Precision, PrecisionError>();
  for (const [i, r] of job.planes.entries()) {
    if (!options.bits.includes(r)) continue;
    const before = await rounding(pool, sample, count, prepared, { ...options, bits: [r] });
    result.set(r, { before, after: after[i] ?? 0 });
  }
  arena.release(sample);
  return result;
}

/** Relative error of rounding one precision by itself on its MinMax grid. */
async function rounding(
  pool: KernelPool,
  sample: number,
  rows: number,
  prepared: PreparedGram,
  options: SolveOptions,
): Promise<number> {
  const job = makeJob(pool, sample, rows, prepared, {
    ...options,
    slice: 'prefix',
    decode: 'tied',
    range: 'minmax',
    codes: 'round',
    rounds: 0,
  });
  await pool.run({
    kernel: 'solveRows',
    plan: job.plan,
    count: rows,
    chunk: rows,
    scratch: pool.kernels.scratchBytes(job.plan),
  });
  const [error = 0] = await errors(pool, job, 1, rows);
  releaseJob(pool, job);
  return error;
}

/** Relative error of every plane over rows 0, stride, 2 stride and so on. */
async function errors(pool: KernelPool, job: Job, stride: number, count: number): Promise<readonly number[]> {
  const { arena } = pool;
  const width = job.planes.length + 1;
  const target = arena.allocate(count * width * 8);
  arena.words(job.plan + 80, 2).set([target | 0, stride]);
  const scratch = pool.kernels.scratchBytes(job.plan);
  await pool.run({ kernel: 'measureRows', plan: job.plan, count, chunk: 15, scratch });
  const sums = new Float64Array(width);
  for (const [i, value] of arena.doubles(target, count * width).entries())
    sums[i % width] = (sums[i % width] ?? 0) + value;
  arena.release(target);
  const total = sums[width - 1] ?? 0;
  return [...sums.subarray(0, width - 1)].map((sum) => (total > 0 ? sum / total : 0));
}
