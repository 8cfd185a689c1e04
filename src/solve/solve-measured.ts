/** Solves projections under the statistics of their input: one Gram matrix for all of them, or one for each group of their outputs. */
import { groupsOfOutputs } from '../autodiff/index.js';
import { hessianOf, outputMatrices, type Statistics } from '../capture/index.js';
import type { KernelPool } from '../kernels/pool.js';
import type { Precision } from '../quant/precision.js';
import type { DecodeTable } from '../quant/tables.js';
import type { HeldCodes, PrecisionError, Solved, SolveOptions } from './kernel/options.js';
import { solveInParts } from './kernel/parts.js';
import type { SolveItem } from './kernel/solve.js';

/** The input that projections have in common. */
export interface MeasuredInput {
  readonly group: string;
  readonly k: number;
}

/** As `solveInParts`, under the statistics of the input. Items have the names of their projections. */
export async function solveMeasured(
  pool: KernelPool,
  items: readonly SolveItem[],
  { group, k }: MeasuredInput,
  statistics: Statistics | undefined,
  options: SolveOptions,
): Promise<readonly Solved[]> {
  if (statistics === undefined) throw new Error(`nothing was measured for ${group}`);
  const groups = statistics.header.weights?.groups ?? 1;
  if (groups === 1) return solveInParts(pool, items, k, hessianOf(await statistics.load(group)), options);
  const solved: Solved[] = [];
  for (const item of items) {
    const parts: Solved[] = [];
    const ranges = groupsOfOutputs(item.rows, groups);
    for (const [at, matrix] of outputMatrices(item.name, item.rows, groups).entries()) {
      const own = rowsOf(item, ranges[at] as Range, k);
      const gram = hessianOf(await statistics.load(matrix));
      parts.push((await solveInParts(pool, [own], k, gram, options))[0] as Solved);
    }
    solved.push(oneBelowAnother(parts));
  }
  return solved;
}

interface Range {
  readonly start: number;
  readonly end: number;
}

/** Some rows of an item. */
function rowsOf({ name, weights, goals = new Map(), held }: SolveItem, { start, end }: Range, k: number): SolveItem {
  const cut = <A extends Float32Array | Uint8Array>(values: A, width: number): A =>
    values.subarray(start * width, end * width) as A;
  return {
    name,
    rows: end - start,
    weights: cut(weights, k),
    goals: new Map([...goals].map(([bits, each]) => [bits, cut(each, k)])),
    ...(held !== undefined && { held: heldRows(held, weights.length / k, cut, k) }),
  };
}

function heldRows(
  { bits, codes, grid }: HeldCodes,
  rows: number,
  cut: <A extends Float32Array | Uint8Array>(values: A, width: number) => A,
  k: number,
): HeldCodes {
  const blocks = grid.scale.length / rows;
  return { bits, codes: cut(codes, k), grid: { scale: cut(grid.scale, blocks), zero: cut(grid.zero, blocks) } };
}

/** The solution of all rows from those of groups of them. */
function oneBelowAnother(parts: readonly Solved[]): Solved {
  const [first] = parts as readonly [Solved, ...Solved[]];
  const stacked = (columnOf: (part: Solved) => Float32Array): Float32Array => stack(parts.map(columnOf), Float32Array);
  const table = (bits: Precision, column: keyof DecodeTable): Float32Array =>
    stacked(({ tables }) => (tables.get(bits) as DecodeTable)[column]);
  const sum = (numberOf: (part: Solved) => number): number => parts.reduce((total, part) => total + numberOf(part), 0);
  const error = (bits: Precision, side: keyof PrecisionError): number =>
    sum(({ report, codes }) => (report.error.get(bits)?.[side] ?? 0) * codes.length) / sum(({ codes }) => codes.length);
  return {
    codes: stack(
      parts.map(({ codes }) => codes),
      Uint8Array,
    ),
    parent: { scale: stacked(({ parent }) => parent.scale), zero: stacked(({ parent }) => parent.zero) },
    tables: new Map(
      [...first.tables.keys()].map((bits) => [bits, { scale: table(bits, 'scale'), offset: table(bits, 'offset') }]),
    ),
    report: {
      error: new Map(
        [...first.report.error.keys()].map((bits) => [
          bits,
          { before: error(bits, 'before'), after: error(bits, 'after') },
        ]),
      ),
      damping: Math.max(...parts.map(({ report }) => report.damping)),
      dead: Math.max(...parts.map(({ report }) => report.dead)),
      seconds: sum(({ report }) => report.seconds),
    },
  };
}

function stack<A extends Float32Array | Uint8Array>(parts: readonly A[], make: new (length: number) => A): A {
  const out = new make(parts.reduce((sum, { length }) => sum + length, 0));
  let at = 0;
  for (const part of parts) {
    out.set(part, at);
    at += part.length;
  }
  return out;
}
