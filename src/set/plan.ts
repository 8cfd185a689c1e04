/** The layout of the set that a recipe makes of a source, from shapes alone: what is written, and what `inspect` says beforehand. */
import { planSet, type SetLayout } from '../quant/layout.js';
import type { Recipe } from '../recipe/index.js';
import { plannedTables, type Source } from '../source/index.js';

/** `rest`: bytes of each tensor that is not quantized. */
export function planLayout(
  { chosen, analysis }: Pick<Source, 'chosen' | 'analysis'>,
  recipe: Recipe,
  rest: readonly number[] = [],
): SetLayout {
  const { bits, block, decode, tables, symmetric, distill } = recipe;
  const biased = distill?.learn.includes('bias') ? distill.bits : [];
  const planned = chosen.map(({ projection: { id, layer, role, k, n }, floor, chain }) => ({
    id,
    layer,
    role,
    k,
    n,
    minBits: floor,
    chain,
  }));
  const tokenTables = plannedTables(analysis, recipe);
  return planSet(planned, rest, { bits, block, decode, tables, symmetric, biased }, tokenTables);
}
