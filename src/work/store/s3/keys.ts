/** Names of the objects of a plan, below its prefix. */

/** `plan.json`, as of a folder. */
export const PLAN_KEY = 'plan.json';

/** What says how far units are begins so. */
export const UNITS = 'units/';

/** Contents of files begin so. */
export const OBJECTS = 'objects/';

/** The contents of a file, by their digest. */
export const objectKey = (sha256: string): string => `${OBJECTS}${sha256}`;

/** What is said of a unit: that it is done, who runs it. */
export const unitKey = (unit: string, name: 'done' | 'claim'): string => `${UNITS}${unit}/${name}.json`;

/** One time that a unit failed, or that its worker did not finish it. Keys are in the order of these times. */
export const eventKey = (unit: string, kind: 'failed' | 'lost', count: number, random: string): string =>
  `${UNITS}${unit}/${kind}-${String(count).padStart(6, '0')}-${random}.json`;

/** What an object below `UNITS` says, and of which unit. */
export function parseUnitKey(
  key: string,
): { readonly unit: string; readonly kind: 'done' | 'claim' | 'failed' | 'lost' } | undefined {
  const [, unit, kind] = /^units\/([^/]+)\/(done|claim|failed|lost)(?:-\d+-[0-9a-f]+)?\.json$/.exec(key) ?? [];
  return unit === undefined ? undefined : { unit, kind: kind as 'done' | 'claim' | 'failed' | 'lost' };
}
