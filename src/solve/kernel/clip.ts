/**
 * Clipping by search (MatQuant eq. 3 without its gradients): for every block the pair of ratios of its extremes with the least
 * weighted error of the rounded and sliced codes, Σ_r λ_r d_r H_uu d_rᵀ with the diagonal block of H.
 */
import type { KernelPool } from '../../kernels/pool.js';
import type { Ranges } from '../../quant/grid.js';
import { prepareGram, releaseGram } from './gram.js';
import type { SolveOptions } from './options.js';
import { makeJob, releaseJob } from './plan.js';
import { requireItem, type SolveItem } from './solve.js';

/** What of the solver's options the search reads. */
export type ClipOptions = Pick<SolveOptions, 'bits' | 'block' | 'slice' | 'symmetric' | 'lambda'>;

/** How codes are made that are rounded on ranges chosen so. */
export const ROUNDED: Pick<SolveOptions, 'range' | 'codes' | 'rounds' | 'sweeps'> = {
  range: 'pairs',
  codes: 'round',
  rounds: 0,
  sweeps: 0,
};

/** Ratios γ (`high`) and β (`low`) of every block, [rows, blocks] each, for projections that read the same input. */
export async function clipGroup(
  pool: KernelPool,
  items: readonly SolveItem[],
  cols: number,
  gram: Float32Array | Float64Array,
  clip: ClipOptions,
): Promise<readonly Ranges[]> {
  const options: SolveOptions = { ...clip, ...ROUNDED, decode: 'tied', damping: 1 };
  for (const item of items) requireItem(item, cols, options);
  const { arena } = pool;
  const prepared = await prepareGram(pool, gram, cols, undefined);
  const found: Ranges[] = [];
  try {
    for (const { rows, weights } of items) {
      const source = arena.place(weights);
      const job = makeJob(pool, source, rows, prepared, options);
      const scratch = pool.kernels.scratchBytes(job.plan);
      await pool.run({ kernel: 'clipRows', plan: job.plan, count: rows, chunk: 16, scratch });
      const plane = (address: number): Float32Array => arena.floats(address, rows * job.blocks).slice();
      found.push({ low: plane(job.scale), high: plane(job.zero) });
      releaseJob(pool, job);
      arena.release(source);
    }
  } finally {
    releaseGram(pool, prepared);
  }
  return found;
}
