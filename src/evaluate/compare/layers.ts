/** Where two sets differ, layer by layer: the errors of projections that `compile` wrote beside them. */
import { openSetOf, readCompiled } from '../../set/index.js';

/** One layer at one precision. */
export interface LayerChange {
  readonly layer: number;
  /** `int4`. */
  readonly precision: string;
  /** Mean over projections of the error relative to the energy of the output. */
  readonly base: number;
  readonly head: number;
  /** head / base. */
  readonly ratio: number;
}

type Errors = ReadonlyMap<string, { readonly layer: number; readonly precision: string; readonly error: number }>;

/** Layers in order; undefined where one of the two sets has no errors beside it. */
export function layerChanges(base: string, head: string): readonly LayerChange[] | undefined {
  const [before, after] = [errorsOf(base), errorsOf(head)];
  if (before === undefined || after === undefined) return undefined;
  return [...after].flatMap(([key, { layer, precision, error }]) => {
    const other = before.get(key);
    if (other === undefined) return [];
    return [{ layer, precision, base: other.error, head: error, ratio: error / other.error }];
  });
}

/** Mean errors by layer and precision. */
function errorsOf(path: string): Errors | undefined {
  const compiled = readCompiled(openSetOf(path));
  const measured = compiled?.projections.filter(({ error }) => error !== undefined) ?? [];
  if (measured.length === 0) return undefined;
  const sums = new Map<string, { layer: number; precision: string; sum: number; count: number }>();
  for (const { layer, error = {} } of measured)
    for (const [precision, { after }] of Object.entries(error)) {
      const key = `${precision} ${layer}`;
      const { sum, count } = sums.get(key) ?? { sum: 0, count: 0 };
      sums.set(key, { layer, precision, sum: sum + after, count: count + 1 });
    }
  const means = [...sums].map(
    ([key, { layer, precision, sum, count }]) => [key, { layer, precision, error: sum / count }] as const,
  );
  return new Map(means.sort(([, a], [, b]) => a.precision.localeCompare(b.precision) || a.layer - b.layer));
}
