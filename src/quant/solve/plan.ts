/** The plan of the solver kernels, word by word as `src/kernels/assembly/job.ts` reads it. */
import type { KernelPool } from '../../kernels/pool.js';
import type { Precision } from '../precision.js';
import type { SliceKind } from '../slice.js';
import { type PreparedGram, pitchOf } from './gram.js';
import { DECODES, gridOf, parentBits, SLICES, type SolveOptions } from './options.js';

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

/** Words of a plan: 26, then bits, weights in the objective and addresses of goals by plane. */
const WORDS = 26 + 3 * MOST_PLANES;

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
): Job {
  const { arena } = pool;
  const { cols } = prepared;
  const parent = parentBits(options.bits);
  const planes: Precision[] = [parent, ...[...options.bits].filter((r) => r !== parent).sort((a, b) => b - a)];
  const block = Math.min(options.block, cols);
  const blocks = Math.ceil(cols / block);
  const blockPitch = Math.ceil(blocks / 8) * 8;
  const plane = rows * blocks * 4;
  const atoms = atomsOf(planes, options.slice);
  const codes = arena.allocate(rows * cols);
  const tables = arena.allocate(planes.length * 2 * plane);
  const scale = arena.allocate(2 * plane);
  const sums = arena.allocate(((cols + blocks) * blockPitch + blocks * pitchOf(cols)) * 4);
  const atomTable = arena.allocate(atoms.values.length * 4);
  arena.floats(atomTable, atoms.values.length).set(atoms.values);
  const plan = arena.allocate(WORDS * 4);
  const words = arena.words(plan, WORDS).fill(0);
  words.set([weights, rows, cols, block, prepared.gram, prepared.factor, sums, codes, tables, scale, scale + plane]);
  words.set([SLICES[options.slice], DECODES[options.decode], gridOf(options), RANGES[options.range]], 11);
  words.set([METHODS[options.codes], options.rounds, options.sweeps], 15);
  words.set([fittedFrom(planes, options), 0, 1, atoms.count, atomTable, atoms.coarse, planes.length, ...planes], 19);
  const addresses = planes.map((r) => goals.get(r) ?? weights);
  if (goals.size > 0) words.set(addresses, 26 + 2 * MOST_PLANES);
  const reals = arena.floats(plan, WORDS);
  reals[18] = RIDGE;
  const weightOf = (r: Precision): number => (options.bits.includes(r) ? (options.lambda[r] ?? 1) : 0);
  reals.set(planes.map(weightOf), 26 + MOST_PLANES);
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
    addresses: [plan, codes, tables, scale, sums, atomTable],
  };
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

/** The code of `bits` bits cut from a parent code, MatQuant eq. 6 and 8 and the plain prefix. */
function cut(code: number, parent: number, bits: number, slice: SliceKind): number {
  const shift = parent - bits;
  if (slice === 'prefix' || shift === 0) return code >> shift;
  const rounded = (code + (1 << (shift - 1))) >> shift;
  return slice === 'paper' ? Math.min(rounded, 2 ** bits - 1) : rounded;
}

/**
 * Atoms: the ranges of parent codes that no lower plane tells apart. Values: first codes, last codes, then each lower
 * plane's code, padded to a multiple of 16 by repeating the last atom. `coarse` is the first of the lower planes that are
 * constant over every four atoms.
 */
export function atomsOf(
  planes: readonly number[],
  slice: SliceKind,
): { values: Float32Array; count: number; coarse: number } {
  const [parent = 8, ...lower] = planes;
  if (lower.length === 0) return { values: new Float32Array(0), count: 0, coarse: 1 };
  const key = (q: number): string => lower.map((r) => cut(q, parent, r, slice)).join();
  const top = 2 ** parent - 1;
  const firsts = Array.from({ length: top + 1 }, (_, q) => q).filter((q) => q === 0 || key(q) !== key(q - 1));
  const lasts = firsts.map((_, i) => (firsts[i + 1] ?? top + 1) - 1);
  const count = Math.ceil(firsts.length / 16) * 16;
  const pad = (values: readonly number[]): number[] =>
    Array.from({ length: count }, (_, i) => values[i] ?? values.at(-1) ?? 0);
  const lows = lower.map((r) => pad(firsts.map((q) => cut(q, parent, r, slice))));
  const steady = (codes: readonly number[]): boolean => codes.every((code, i) => code === codes[i - (i % 4)]);
  const unsteady = lows.findLastIndex((codes) => !steady(codes));
  return { values: Float32Array.from([...pad(firsts), ...pad(lasts), ...lows.flat()]), count, coarse: unsteady + 2 };
}
