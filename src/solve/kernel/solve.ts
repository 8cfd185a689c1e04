/**
 * The default method: from the weights of projections and the Gram matrix of their common input to parent codes and tables.
 * Rows are independent, so they go to the threads in tiles and the result is the same for any number of threads.
 */
import { fail } from '../../diagnostics.js';
import type { KernelPool } from '../../kernels/pool.js';
import type { Precision } from '../../quant/precision.js';
import type { DecodeTable } from '../../quant/tables.js';
import { type PreparedGram, prepareGram, releaseGram } from './gram.js';
import { measure } from './measure.js';
import { checkNesting, type HeldCodes, type Nested, type Solved, type SolveOptions } from './options.js';
import { type Job, makeJob, releaseJob } from './plan.js';

export type { PrecisionError, Solved, SolveOptions, SolveReport } from './options.js';

/** A projection to solve: W [rows, K], float32 row-major. */
export interface SolveItem {
  /** Said in errors. */
  readonly name: string;
  readonly rows: number;
  readonly weights: Float32Array;
  /** What single precisions shall come near to instead of W. */
  readonly goals?: ReadonlyMap<Precision, Float32Array>;
  /** Leading bits of the codes that stay. */
  readonly held?: HeldCodes;
}

/** Solves projections that read the same input of `cols` elements with Gram matrix [cols, cols], one after the other. */
export async function solveGroup(
  pool: KernelPool,
  items: readonly SolveItem[],
  cols: number,
  gram: Float32Array | Float64Array,
  options: SolveOptions,
): Promise<readonly Solved[]> {
  for (const item of items) requireItem(item, cols, options);
  const start = performance.now();
  const prepared = await prepareGram(pool, gram, cols, options.codes === 'round' ? undefined : options.damping);
  const share = (performance.now() - start) / 1000 / items.length;
  const solved: Solved[] = [];
  try {
    for (const item of items) solved.push(await solve(pool, item, prepared, options, share));
  } finally {
    releaseGram(pool, prepared);
  }
  return solved;
}

/** As `solveGroup`, for items that come one by one, such as the row ranges of a table too large to hold. */
export async function* solveEach(
  pool: KernelPool,
  items: AsyncIterable<SolveItem>,
  cols: number,
  gram: Float32Array | Float64Array,
  options: SolveOptions,
): AsyncGenerator<Solved> {
  const start = performance.now();
  const prepared = await prepareGram(pool, gram, cols, options.codes === 'round' ? undefined : options.damping);
  let share = (performance.now() - start) / 1000;
  try {
    for await (const item of items) {
      requireItem(item, cols, options);
      yield await solve(pool, item, prepared, options, share);
      share = 0;
    }
  } finally {
    releaseGram(pool, prepared);
  }
}

/** Solves one projection under a prepared Gram matrix; `share` is what its preparation took. */
async function solve(
  pool: KernelPool,
  item: SolveItem,
  prepared: PreparedGram,
  options: SolveOptions,
  share: number,
): Promise<Solved> {
  const start = performance.now();
  const { arena } = pool;
  const source = arena.place(item.weights);
  const goals = new Map([...(item.goals ?? [])].map(([r, values]) => [r, arena.place(values)]));
  const job = makeJob(pool, source, item.rows, prepared, options, goals, item.held);
  const { plan, rows, cols, blocks } = job;
  const scratch = pool.kernels.scratchBytes(plan);
  await pool.run({ kernel: 'blockSums', plan, count: cols, chunk: 128, scratch });
  await pool.run({ kernel: 'blockGram', plan, count: blocks, chunk: blocks, scratch });
  await pool.run({ kernel: 'solveRows', plan, count: rows, chunk: chunkOf(rows, pool, plan), scratch });
  const error = await measure(pool, job, item.weights, prepared, options);
  const nested = collect(pool, job, options);
  releaseJob(pool, job);
  for (const address of [source, ...goals.values()]) arena.release(address);
  const seconds = share + (performance.now() - start) / 1000;
  return { ...nested, report: { error, damping: prepared.damping, dead: prepared.dead.length, seconds } };
}

/** Rows that a thread takes at a time: at most a tile, and as many ranges as all threads finish together. */
function chunkOf(rows: number, pool: KernelPool, plan: number): number {
  const turns = Math.ceil(rows / pool.kernels.tileRows(plan) / pool.size);
  // Codes are picked for four rows together.
  return 4 * Math.ceil(rows / (4 * turns * pool.size));
}

/** Fails where an item does not fit its Gram matrix, or options that no solution has. */
export function requireItem({ name, rows, weights }: SolveItem, cols: number, options: SolveOptions): void {
  const bits = checkNesting(options);
  if (weights.length !== rows * cols)
    fail('tensor-size', name, `${weights.length} values are no ${rows} x ${cols} matrix`);
  const { damping, codes, lambda } = options;
  const weightOf = (r: Precision): number => lambda[r] ?? 1;
  // Rounding is chosen for nothing but its range, so there a precision may be one that is only cut along.
  const odd = bits.find((r) => !(weightOf(r) > 0 || (codes === 'round' && weightOf(r) === 0)));
  if (odd !== undefined) fail('bad-usage', 'lambda', `the weight of ${odd} bits is not positive`);
  if (!bits.some((r) => weightOf(r) > 0)) fail('bad-usage', 'lambda', 'no precision has a weight');
  if (!(damping > 0 && damping <= 1)) fail('bad-usage', 'damping', `${damping} is not above 0 and at most 1`);
}

function collect(pool: KernelPool, job: Job, options: SolveOptions): Nested {
  const { arena } = pool;
  const plane = job.rows * job.blocks;
  const read = (address: number): Float32Array => arena.floats(address, plane).slice();
  const table = (i: number): DecodeTable => ({
    scale: read(job.tables + 2 * i * plane * 4),
    offset: read(job.tables + (2 * i + 1) * plane * 4),
  });
  const entries = job.planes.map((r, i): [Precision, DecodeTable] => [r, table(i)]);
  return {
    codes: arena.bytes(job.codes, job.rows * job.cols).slice(),
    parent: { scale: read(job.scale), zero: read(job.zero) },
    tables: new Map(entries.filter(([r]) => options.bits.includes(r))),
  };
}
