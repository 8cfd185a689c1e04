/**
 * What a precision of a unit is thought to cost, from whatever is known: measured sensitivities where there are some, the errors
 * that the solver left (under the Gram matrix of real inputs) where not, and at the very least that every bit quarters the error.
 */
import { effectiveBits, type ProjectionPlace, type SetLayout } from '../quant/layout.js';
import type { Precision } from '../quant/precision.js';
import type { CompiledFacts } from '../set/index.js';

/** Damage of a unit `id`, made of these projections, at a precision. */
export type DamageOf = (id: string, places: readonly ProjectionPlace[], bits: Precision) => number;

/** Damage by unit and precision, as `measuredDamage` gives it. */
export type MeasuredDamage = ReadonlyMap<string, ReadonlyMap<number, number>>;

/** Error of a projection at a precision, relative to the energy of its output. */
export type ErrorOf = (place: ProjectionPlace, bits: number) => number;

/** The errors that `compile` wrote down. */
export function solvedErrors(compiled: CompiledFacts | undefined): ErrorOf {
  const errors = new Map(compiled?.projections.map(({ id, error }) => [id, error]));
  return (place, asked) => {
    const bits = effectiveBits(place, asked);
    return errors.get(place.id)?.[`int${bits}`]?.after ?? 4 ** -bits;
  };
}

/** Damages relative to the set at its highest precision; in nats of KL as far as anything was measured. */
export function damageOf(layout: SetLayout, measured: MeasuredDamage, error: ErrorOf): DamageOf {
  const estimate = new Estimate(layout, error);
  const scale = scaleOf(measured, estimate);
  return (id, places, bits) => {
    if (bits >= estimate.parent) return 0;
    return (
      estimate.carried(measured.get(id), places, bits) ??
      shareOfLayer(id, places, bits, measured, estimate) ??
      sumOfParts(places, bits, measured, estimate) ??
      scale * estimate.rise(places, bits)
    );
  };
}

/** The solver's errors as sensitivities. */
class Estimate {
  readonly parent: number;
  readonly #layout: SetLayout;
  readonly #error: ErrorOf;

  constructor(layout: SetLayout, error: ErrorOf) {
    this.#layout = layout;
    this.#error = error;
    this.parent = Math.max(...layout.bits);
  }

  /** The projections of a unit by its id. */
  placesOf(unit: string): readonly ProjectionPlace[] {
    return this.#layout.projections.filter(({ id }) => id === unit || id.startsWith(`${unit}.`));
  }

  /** Sum of what the errors grow by against the highest precision. */
  rise(places: readonly ProjectionPlace[], bits: number): number {
    return places.reduce(
      (sum, place) => sum + Math.max(0, this.#error(place, bits) - this.#error(place, this.parent)),
      0,
    );
  }

  /** A measurement at this precision, or that of the nearest one carried over by the ratio of the errors. */
  carried(
    own: ReadonlyMap<number, number> | undefined,
    places: readonly ProjectionPlace[],
    bits: number,
  ): number | undefined {
    const exact = own?.get(bits);
    if (own === undefined || exact !== undefined) return exact;
    const [near] = [...own.keys()].sort((a, b) => Math.abs(a - bits) - Math.abs(b - bits) || b - a);
    const base = near === undefined ? 0 : this.rise(places, near);
    return base === 0 ? undefined : ((own.get(near as number) ?? 0) * this.rise(places, bits)) / base;
  }
}

/** A projection's part of what its layer was measured to cost. */
function shareOfLayer(
  id: string,
  places: readonly ProjectionPlace[],
  bits: number,
  measured: MeasuredDamage,
  estimate: Estimate,
): number | undefined {
  const layer = /^layers\.\d+(?=\.)/.exec(id)?.[0];
  if (layer === undefined) return undefined;
  const all = estimate.placesOf(layer);
  const whole = estimate.carried(measured.get(layer), all, bits);
  const base = estimate.rise(all, bits);
  return whole === undefined || base === 0 ? undefined : (whole * estimate.rise(places, bits)) / base;
}

/** A layer whose projections were measured one by one. */
function sumOfParts(
  places: readonly ProjectionPlace[],
  bits: number,
  measured: MeasuredDamage,
  estimate: Estimate,
): number | undefined {
  const parts = places.map((place) => estimate.carried(measured.get(place.id), [place], bits));
  return parts.every((part) => part !== undefined) ? parts.reduce((sum, part) => sum + part, 0) : undefined;
}

/** Nats of KL for a unit of the solver's error, on average over what was measured; 1 when nothing was. */
function scaleOf(measured: MeasuredDamage, estimate: Estimate): number {
  let [kl, error] = [0, 0];
  for (const [unit, own] of measured) {
    const lowest = Math.min(...own.keys());
    kl += own.get(lowest) ?? 0;
    error += estimate.rise(estimate.placesOf(unit), lowest);
  }
  return kl > 0 && error > 0 ? kl / error : 1;
}
