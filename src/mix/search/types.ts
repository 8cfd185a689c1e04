/** Words of the search: what can be chosen, what it costs, and what was chosen. */
import type { Precision } from '../../quant/precision.js';

/** Precision of each projection by id. */
export type Mix = ReadonlyMap<string, Precision>;

/** One way to store a unit. */
export interface Choice {
  readonly bits: Precision;
  /** Bytes on disk, or whatever the budget counts. */
  readonly cost: number;
  /** Estimated damage to the output, such as nats of KL. */
  readonly damage: number;
}

/** Projections that share their precision: one, or all of a layer. */
export interface Unit {
  /** `layers.3` or `layers.3.down`. */
  readonly id: string;
  readonly projections: readonly string[];
  /** Smallest precision first. */
  readonly choices: readonly Choice[];
}

/** Index into the choices of each unit. */
export type Picks = readonly number[];

export function mixOf(units: readonly Unit[], picks: Picks): Mix {
  return new Map(
    units.flatMap((unit, at) => unit.projections.map((id) => [id, choiceOf(unit, picks[at] as number).bits] as const)),
  );
}

export function choiceOf(unit: Unit, pick: number): Choice {
  const choice = unit.choices[pick];
  if (choice === undefined) throw new RangeError(`${unit.id} has no choice ${pick}`);
  return choice;
}

export const costOf = (units: readonly Unit[], picks: Picks): number =>
  units.reduce((sum, unit, at) => sum + choiceOf(unit, picks[at] as number).cost, 0);

export const damageOf = (units: readonly Unit[], picks: Picks): number =>
  units.reduce((sum, unit, at) => sum + choiceOf(unit, picks[at] as number).damage, 0);
