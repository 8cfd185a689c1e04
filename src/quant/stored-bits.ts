/** Stored bits per weight: codes, scales and offsets, everything a model of one precision keeps on disk for a projection. */
import { SUPER_BLOCK, type TableForm } from './compress.js';
import type { Blocks } from './grid.js';
import type { Precision } from './precision.js';

/** Bits of one column entry: float16, or 8 bits and a share of a float16 super-scale. */
const COLUMN_BITS: Record<TableForm, number> = { fp16: 16, c8: 8 + 16 / SUPER_BLOCK };

/** Bits per weight of a large projection: r + 32/g for fp16 tables with offsets, r + 18/g for c8; half without offsets. */
export function storedBits(bits: number, block: number, form: TableForm, offset = true): number {
  return bits + (COLUMN_BITS[form] * (offset ? 2 : 1)) / block;
}

/** What decides the size of one stored projection. */
export interface StoredShape {
  readonly rows: number;
  readonly blocks: Blocks;
  readonly bits: Precision;
  readonly form: TableForm;
  /** False when the table has no offsets. */
  readonly offset: boolean;
}

/** Bytes on disk of one projection at one precision, padding of ragged blocks and of the last super-scale included. */
export function storedBytes({ rows, blocks, bits, form, offset }: StoredShape): number {
  const entries = rows * blocks.count;
  const codes = (entries * blocks.block * bits) / 8;
  const column = form === 'fp16' ? 2 * entries : entries + 2 * Math.ceil(entries / SUPER_BLOCK);
  return codes + column * (offset ? 2 : 1);
}

/** Average over projections, by the weights they really have. */
export function storedBitsPerWeight(projections: readonly StoredShape[]): number {
  let bytes = 0;
  let weights = 0;
  for (const projection of projections) {
    bytes += storedBytes(projection);
    weights += projection.rows * projection.blocks.k;
  }
  return weights === 0 ? 0 : (8 * bytes) / weights;
}
