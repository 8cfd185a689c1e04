/** What a search may choose between: units of a set, with the stored size of each precision and an estimate of its damage. */
import { effectiveBits, type ProjectionPlace, type SetLayout } from '../quant/layout.js';
import { storedBytes } from '../quant/layout-use.js';
import { containerBits, type Precision } from '../quant/precision.js';
import type { DamageOf } from './mix-damage.js';
import type { Unit } from './search/types.js';

/** One precision for a whole layer, or for each projection. */
export type Granularity = 'layer' | 'projection';

/** How codes are stored: as bit planes of the set, or in the containers of a self-contained model. */
export type StoredForm = 'planes' | 'containers';

/** What a budget counts. */
export type CostOf = (place: ProjectionPlace, bits: Precision) => number;

/** Bytes on disk of a projection: codes and tables. */
export function storedCost(layout: SetLayout, form: StoredForm): CostOf {
  return (place, bits) => storedBytes(layout, place, bits, form === 'containers');
}

/** Bits of the codes as they are stored: int3 counts as 4 where it lies in a container of 4. Tables come on top. */
export function codeCost(form: StoredForm): CostOf {
  return ({ k, n }, bits) => k * n * (form === 'planes' ? bits : containerBits(bits));
}

export interface UnitOptions {
  readonly layout: SetLayout;
  readonly per: Granularity;
  /** Precisions to choose from. */
  readonly bits: readonly Precision[];
  readonly cost: CostOf;
  readonly damage: DamageOf;
  /** Projections that are not chosen for. */
  readonly fixed: ReadonlySet<string>;
}

/** The units in the order of the model, each with the precisions it can have. */
export function unitsOf(options: UnitOptions): readonly Unit[] {
  const { layout, per, fixed } = options;
  const groups = new Map<string, ProjectionPlace[]>();
  for (const place of layout.projections) {
    if (fixed.has(place.id)) continue;
    const unit = unitIdOf(place, per);
    groups.set(unit, [...(groups.get(unit) ?? []), place]);
  }
  return [...groups].map(([id, places]) => ({
    id,
    projections: places.map((place) => place.id),
    choices: choicesOf(id, places, options),
  }));
}

export function unitIdOf({ id, layer }: ProjectionPlace, per: Granularity): string {
  return per === 'projection' || layer < 0 ? id : `layers.${layer}`;
}

function choicesOf(
  id: string,
  places: readonly ProjectionPlace[],
  { bits, cost, damage }: UnitOptions,
): Unit['choices'] {
  const order = bits.filter((each) => places.some(({ chain }) => chain.includes(each))).toSorted((a, b) => a - b);
  return order.map((each) => ({
    bits: each,
    cost: places.reduce((sum, place) => sum + cost(place, effectiveBits(place, each)), 0),
    damage: damage(id, places, each),
  }));
}
