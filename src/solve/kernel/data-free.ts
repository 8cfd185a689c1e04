/**
 * The data-free method: MinMax grids (MatQuant eq. 1), rounded codes, and per precision the scale and offset of least
 * squared error, in one pass over the stored weights.
 */
import { type StoredWeight, stageRows } from '../../kernels/load-rows.js';
import type { KernelPool } from '../../kernels/pool.js';
import type { Precision } from '../../quant/precision.js';
import { checkNesting, DECODES, gridOf, type Nested, type Nesting, parentBits, SLICES } from './options.js';

/** Elements staged at a time; two stages are under way at once, so that copying overlaps the kernels. */
const STAGE = 1 << 22;

/** Quantizes a stored weight without data. */
export async function solveDataFree(pool: KernelPool, weight: StoredWeight, nesting: Nesting): Promise<Nested> {
  const bits = checkNesting(nesting);
  const blocks = Math.ceil(weight.cols / nesting.block);
  const result = emptyNested(weight.rows, weight.cols, blocks, bits);
  const step = Math.max(16, Math.floor(STAGE / weight.cols / 16) * 16);
  const starts = Array.from({ length: Math.ceil(weight.rows / step) }, (_, i) => i * step);
  const lane = async (): Promise<void> => {
    for (let begin = starts.shift(); begin !== undefined; begin = starts.shift()) {
      await solveRows(pool, weight, nesting, begin, Math.min(weight.rows, begin + step), result);
    }
  };
  await Promise.all([lane(), lane()]);
  return result;
}

/** Result arrays of the right size, filled with zeros. */
export function emptyNested(rows: number, cols: number, blocks: number, bits: readonly Precision[]): Nested {
  const plane = (): Float32Array => new Float32Array(rows * blocks);
  return {
    codes: new Uint8Array(rows * cols),
    parent: { scale: plane(), zero: plane() },
    tables: new Map(bits.map((r) => [r, { scale: plane(), offset: plane() }])),
  };
}

async function solveRows(
  pool: KernelPool,
  weight: StoredWeight,
  nesting: Nesting,
  begin: number,
  end: number,
  result: Nested,
): Promise<void> {
  const { arena } = pool;
  const { cols } = weight;
  const rows = end - begin;
  const block = Math.min(nesting.block, cols);
  const plane = rows * Math.ceil(cols / block);
  const bits = [...result.tables.keys()];
  const weights = await stageRows(pool, weight, begin, end);
  const codes = arena.allocate(rows * cols);
  const tables = arena.allocate((2 + 2 * bits.length) * plane * 4);
  const plan = arena.plan([
    weights,
    rows,
    cols,
    block,
    codes,
    tables,
    tables + plane * 4,
    tables + plane * 8,
    SLICES[nesting.slice],
    DECODES[nesting.decode],
    gridOf(nesting),
    parentBits(bits),
    bits.length,
    ...bits,
  ]);
  const chunk = Math.max(1, Math.round(65_536 / cols));
  await pool.run({ kernel: 'dataFree', plan, count: rows, chunk, scratch: (block + 4) * 4 });
  result.codes.set(arena.bytes(codes, rows * cols), begin * cols);
  const planes = [
    result.parent.scale,
    result.parent.zero,
    ...[...result.tables.values()].flatMap((t) => [t.scale, t.offset]),
  ];
  for (const [i, target] of planes.entries()) {
    target.set(arena.floats(tables + i * plane * 4, plane), begin * Math.ceil(cols / block));
  }
  for (const address of [weights, codes, tables, plan]) arena.release(address);
}
