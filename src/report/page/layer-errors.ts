/** From errors per projection to errors per layer. */
import type { CompiledProjection } from './data.js';

/** Means over the projections of a layer. */
export interface LayerError {
  readonly layer: number;
  /** `int4` */
  readonly precision: string;
  readonly before: number;
  readonly after: number;
}

/** By precision, lowest first, then by layer. Projections outside the layers are left to the table. */
export function layerErrors(projections: readonly CompiledProjection[]): readonly LayerError[] {
  const sums = new Map<string, { layer: number; precision: string; before: number; after: number; count: number }>();
  for (const { layer, error } of projections) {
    if (layer < 0) continue;
    for (const [precision, { before, after }] of Object.entries(error ?? {})) {
      const key = `${precision} ${layer}`;
      const sum = sums.get(key) ?? { layer, precision, before: 0, after: 0, count: 0 };
      sums.set(key, { ...sum, before: sum.before + before, after: sum.after + after, count: sum.count + 1 });
    }
  }
  return [...sums.values()]
    .map(({ count, before, after, ...rest }) => ({ ...rest, before: before / count, after: after / count }))
    .sort((a, b) => bitsIn(a.precision) - bitsIn(b.precision) || a.layer - b.layer);
}

/** 4 of `int4`. */
export const bitsIn = (precision: string): number => Number(precision.replace('int', ''));
