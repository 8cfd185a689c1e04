/**
 * Projections wider than the kernels' memory: the columns are solved in parts, as if inputs of different parts were uncorrelated.
 * A part takes 16 bytes per square of its columns while its Gram matrix is factored, and WebAssembly addresses 4 GiB.
 */
import { fail } from '../../diagnostics.js';
import type { KernelPool } from '../../kernels/pool.js';
import type { Precision } from '../../quant/precision.js';
import type { DecodeTable } from '../../quant/tables.js';
import type { HeldCodes, PrecisionError, Solved, SolveOptions } from './options.js';
import { type SolveItem, solveGroup } from './solve.js';

/** As wide as the feed-forward layers of Gemma 3 12B: 3.8 GB. */
export const MOST_COLS = 15_360;

/** Columns [start, end), a whole number of blocks but for the last part. */
export interface Part {
  readonly start: number;
  readonly end: number;
}

/** As `solveGroup`, for any number of columns. */
export async function solveInParts(
  pool: KernelPool,
  items: readonly SolveItem[],
  cols: number,
  gram: Float32Array | Float64Array,
  options: SolveOptions,
  mostCols: number = MOST_COLS,
): Promise<readonly Solved[]> {
  if (cols <= mostCols) return solveGroup(pool, items, cols, gram, options);
  if (options.block > mostCols)
    fail(
      'memory',
      items[0]?.name ?? 'solver',
      `${cols} columns with one scale per row do not fit the solver: choose blocks`,
    );
  const parts = partsOf(cols, options.block, mostCols);
  const solved: (readonly Solved[])[] = [];
  for (const part of parts) {
    const own = items.map(({ name, rows, weights, goals = new Map(), held }) => ({
      name,
      rows,
      weights: columnsOf(weights, rows, cols, part),
      goals: new Map([...goals].map(([bits, each]) => [bits, columnsOf(each, rows, cols, part)])),
      ...(held !== undefined && { held: heldOf(held, rows, cols, options.block, part) }),
    }));
    solved.push(await solveGroup(pool, own, part.end - part.start, diagonalOf(gram, cols, part), options));
  }
  return items.map(({ rows, weights }, at) => {
    const energies = parts.map((part) => energyOf(columnsOf(weights, rows, cols, part), gram, cols, part));
    return joined(
      solved.map((each) => each[at] as Solved),
      energies,
      rows,
    );
  });
}

export function partsOf(cols: number, block: number, most: number): readonly Part[] {
  const blocks = Math.ceil(cols / block);
  const count = Math.ceil(blocks / Math.floor(most / block));
  const bound = (at: number): number => Math.min(cols, Math.ceil((at * blocks) / count) * block);
  return Array.from({ length: count }, (_, at) => ({ start: bound(at), end: bound(at + 1) }));
}

function heldOf({ bits, codes, grid }: HeldCodes, rows: number, cols: number, block: number, part: Part): HeldCodes {
  const blocks = Math.ceil(cols / block);
  const own = { start: part.start / block, end: Math.ceil(part.end / block) };
  const column = (values: Float32Array): Float32Array => columnsOf(values, rows, blocks, own);
  return {
    bits,
    codes: columnsOf(codes, rows, cols, part),
    grid: { scale: column(grid.scale), zero: column(grid.zero) },
  };
}

export function columnsOf<A extends Float32Array | Uint8Array>(
  weights: A,
  rows: number,
  cols: number,
  { start, end }: Part,
): A {
  const out = new (weights.constructor as new (length: number) => A)(rows * (end - start));
  for (let row = 0; row < rows; row++)
    out.set(weights.subarray(row * cols + start, row * cols + end), row * (end - start));
  return out;
}

/** The square of the Gram matrix that belongs to a part. */
export function diagonalOf(
  gram: Float32Array | Float64Array,
  cols: number,
  { start, end }: Part,
): Float32Array | Float64Array {
  const width = end - start;
  const out = gram instanceof Float64Array ? new Float64Array(width * width) : new Float32Array(width * width);
  for (let row = start; row < end; row++)
    out.set(gram.subarray(row * cols + start, row * cols + end), (row - start) * width);
  return out;
}

/** How much a part weighs in the error of the whole: its weights by the size of their inputs. */
function energyOf(
  weights: Float32Array,
  gram: Float32Array | Float64Array,
  cols: number,
  { start, end }: Part,
): number {
  const width = end - start;
  let sum = 0;
  for (let at = 0; at < weights.length; at++) {
    const col = start + (at % width);
    sum += (weights[at] as number) ** 2 * (gram[col * cols + col] as number);
  }
  return sum;
}

function joined(parts: readonly Solved[], energies: readonly number[], rows: number): Solved {
  const [first] = parts as [Solved];
  const table = (bits: Precision, column: keyof DecodeTable): Float32Array =>
    sideBySide(
      parts.map(({ tables }) => (tables.get(bits) as DecodeTable)[column]),
      rows,
      Float32Array,
    );
  return {
    codes: sideBySide(
      parts.map(({ codes }) => codes),
      rows,
      Uint8Array,
    ),
    parent: {
      scale: sideBySide(
        parts.map(({ parent }) => parent.scale),
        rows,
        Float32Array,
      ),
      zero: sideBySide(
        parts.map(({ parent }) => parent.zero),
        rows,
        Float32Array,
      ),
    },
    tables: new Map(
      [...first.tables.keys()].map((bits) => [bits, { scale: table(bits, 'scale'), offset: table(bits, 'offset') }]),
    ),
    report: {
      error: new Map([...first.report.error.keys()].map((bits) => [bits, meanError(parts, energies, bits)])),
      damping: Math.max(...parts.map(({ report }) => report.damping)),
      dead: parts.reduce((sum, { report }) => sum + report.dead, 0),
      seconds: parts.reduce((sum, { report }) => sum + report.seconds, 0),
    },
  };
}

function meanError(parts: readonly Solved[], energies: readonly number[], bits: Precision): PrecisionError {
  const total = energies.reduce((sum, each) => sum + each, 0) || 1;
  const mean = (side: keyof PrecisionError): number =>
    parts.reduce(
      (sum, { report }, at) => sum + ((report.error.get(bits)?.[side] ?? 0) * (energies[at] as number)) / total,
      0,
    );
  return { before: mean('before'), after: mean('after') };
}

/** Matrices [rows, …] put together along their columns. */
export function sideBySide<A extends Uint8Array | Float32Array>(
  parts: readonly A[],
  rows: number,
  make: new (length: number) => A,
): A {
  const width = parts.reduce((sum, { length }) => sum + length, 0) / rows;
  const out = new make(rows * width);
  let start = 0;
  for (const part of parts) {
    const own = part.length / rows;
    for (let row = 0; row < rows; row++) out.set(part.subarray(row * own, (row + 1) * own), row * width + start);
    start += own;
  }
  return out;
}
