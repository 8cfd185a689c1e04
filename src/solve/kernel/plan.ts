/** The plan of the solver kernels, word by word as `src/kernels/assembly/job.ts` reads it. */
import type { KernelPool } from '../../kernels/pool.js';
import type { Precision } from '../../quant/precision.js';
import { type PreparedGram, pitchOf } from './gram.js';
import { DECODES, gridOf, type HeldCodes, parentBits, SLICES, type SolveOptions } from './options.js';

/** One projection in the memory of the kernels, with the addresses of its results. */
export interface Job {
  readonly plan: number;
  readonly codes: number;
  /** f32 [planes, 2, rows, blocks]. */
  readonly tables: number;
  readonly scale: number;
  readonly zero: number;
  readonly rows: number;
  readonly cols: number;
  readonly blocks: number;
  /** The parent, then the lower precisions in descending order. */
  readonly planes: readonly Precision[];
  readonly addresses: readonly number[];
}

const METHODS = { round: 0, gptq: 1, mean: 2 } as const;
const RANGES = { minmax: 0, grid: 1, pairs: 2 } as const;
/** Relative to the diagonal of the normal equations. */
const RIDGE = 1e-6;
const MOST_PLANES = 8;
/** Words of a plan: these, then bits, weights in the objective and addresses of goals by plane. */
const FIXED = 25;
const WORDS = FIXED + 3 * MOST_PLANES;

/**
 * Lays out a job; `weights` is the address of f32 [rows, K], and so are the goals of precisions that shall come near to something
 * else.
 */
export function makeJob(
  pool: KernelPool,
  weights: number,
  rows: number,
  prepared: PreparedGram,
  options: SolveOptions,
  goals: ReadonlyMap<Precision, number> = new Map(),
  held?: HeldCodes,
): Job {
  const { arena } = pool;
  const { cols } = prepared;
  const parent = parentBits(options.bits);
  const planes: Precision[] = [parent, ...[...options.bits].filter((r) => r !== parent).sort((a, b) => b - a)];
  const block = Math.min(options.block, cols);
  const blocks = Math.ceil(cols / block);
  const blockPitch = Math.ceil(blocks / 8) * 8;
  const plane = rows * blocks * 4;
  const codes = arena.allocate(rows * cols);
  const tables = arena.allocate(planes.length * 2 * plane);
  const scale = arena.allocate(2 * plane);
  const sums = arena.allocate(((cols + blocks) * blockPitch + blocks * pitchOf(cols)) * 4);
  const plan = arena.allocate(WORDS * 4);
  const words = arena.words(plan, WORDS).fill(0);
  words.set([weights, rows, cols, block, prepared.gram, prepared.factor, sums, codes, tables, scale, scale + plane]);
  words.set([SLICES[options.slice], DECODES[options.decode], gridOf(options), RANGES[options.range]], 11);
  words.set([METHODS[options.codes], options.rounds, options.sweeps], 15);
  words.set([fittedFrom(planes, options), 0, 1, planes.length], 19);
  words.set(planes, FIXED);
  const kept = held === undefined ? [] : [holdCodes(pool, held, words, rows * blocks, scale)];
  const addresses = planes.map((r) => goals.get(r) ?? weights);
  if (goals.size > 0) words.set(addresses, FIXED + 2 * MOST_PLANES);
  const reals = arena.floats(plan, WORDS);
  reals[18] = RIDGE;
  const weightOf = (r: Precision): number => (options.bits.includes(r) ? (options.lambda[r] ?? 1) : 0);
  reals.set(planes.map(weightOf), FIXED + MOST_PLANES);
  return {
    plan,
    codes,
    tables,
    scale,
    zero: scale + plane,
    rows,
    cols,
    blocks,
    planes,
    addresses: [plan, codes, tables, scale, sums, ...kept],
  };
}

/** Puts the codes that are held, and the grid they are on, where the kernels find them. */
function holdCodes(pool: KernelPool, held: HeldCodes, words: Int32Array, entries: number, scale: number): number {
  const { arena } = pool;
  const at = arena.allocate(held.codes.length);
  arena.bytes(at, held.codes.length).set(held.codes);
  words.set([held.bits, at], 23);
  arena.floats(scale, entries).set(held.grid.scale);
  arena.floats(scale + 4 * entries, entries).set(held.grid.zero);
  return at;
}

/** Gives the memory of a job back; the weights are the caller's. */
export function releaseJob(pool: KernelPool, job: Job): void {
  for (const address of job.addresses) pool.arena.release(address);
}

/**
 * The first plane with a fitted table. With `ab` that is the parent's too: codes pushed over a boundary for a lower precision
 * leave a bias behind that a table of its own takes back (Gemma 3 270M, block 128: 6 % of int8's error). The other decodes
 * leave a parent of 8 bits its integer zero point.
 */
function fittedFrom(planes: readonly Precision[], options: SolveOptions): number {
  if (options.decode === 'tied') return planes.length;
  if (options.decode === 'ab') return 0;
  return planes.length === 1 && planes[0] !== 8 ? 0 : 1;
}
