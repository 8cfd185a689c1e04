/**
 * NAME.sensitivity.json: what each unit costs the output when it alone is sliced, measured. Every measured unit is kept at once,
 * so that an interrupted run goes on where it was, and runs on other texts add to what is there.
 */
import { existsSync, writeFileSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { z } from 'zod';
import { fail } from '../diagnostics.js';
import { sealedJson } from '../files/seal.js';
import { readSealed } from '../files/sealed-json.js';
import { staged } from '../files/staging.js';
import { digestOfSet, type OpenSet, type SetManifest } from '../set/index.js';

/** One measurement. */
export interface SensitivityEntry {
  /** `layers.3`, `layers.3.down`, or `*` for the whole set. */
  readonly unit: string;
  readonly bits: number;
  /** KL to the reference with this unit at `bits` and the rest at the highest precision; nats per position. */
  readonly kl: number;
  readonly positions: number;
  /** Digest of the windows. */
  readonly text: string;
  /** `parent`: the set at its highest precision; else the name of the model that it was compared with. */
  readonly reference: string;
}

export interface SensitivityFile {
  readonly format: 'matquant-sensitivity';
  readonly version: 1;
  /** Digest of the set's data. */
  readonly set: string;
  readonly entries: readonly SensitivityEntry[];
}

const schema = z.strictObject({
  format: z.literal('matquant-sensitivity'),
  version: z.literal(1),
  set: z.string(),
  entries: z.array(
    z.strictObject({
      unit: z.string(),
      bits: z.number().int(),
      kl: z.number().nonnegative(),
      positions: z.number().int().positive(),
      text: z.string(),
      reference: z.string(),
    }),
  ),
  sha256: z.string().optional(),
});

/** The file beside a set. */
export const sensitivityPath = ({ path }: OpenSet): string => sensitivityBeside(path);

/** The file beside the manifest of a set. */
export const sensitivityBeside = (manifest: string): string =>
  join(dirname(manifest), `${basename(manifest).replace(/\.json$/, '')}.sensitivity.json`);

/** The measurements of a file; none when there is no such file. Error codes `report-input`, and `damaged-file` for a file that is not as it was written. */
export function readSensitivity(path: string, manifest: SetManifest): readonly SensitivityEntry[] {
  if (!existsSync(path)) return [];
  const parsed = schema.safeParse(readSealed(path));
  if (!parsed.success) return fail('report-input', path, 'The file holds no sensitivities');
  if (parsed.data.set !== digestOfSet(manifest)) return fail('report-input', path, 'The file belongs to another set');
  return parsed.data.entries;
}

/** Writes all measurements, in an order that does not depend on when they were made. */
export function writeSensitivity(path: string, manifest: SetManifest, entries: readonly SensitivityEntry[]): void {
  const file: SensitivityFile = {
    format: 'matquant-sensitivity',
    version: 1,
    set: digestOfSet(manifest),
    entries: mergeEntries(entries),
  };
  staged(path, (temporary) => writeFileSync(temporary, sealedJson(file)));
}

const keyOf = ({ unit, bits, text, reference }: SensitivityEntry): string => [unit, bits, text, reference].join(' ');

/** Every measurement once; the later of two of the same thing stays. */
export function mergeEntries(entries: readonly SensitivityEntry[]): readonly SensitivityEntry[] {
  const merged = new Map(entries.map((entry) => [keyOf(entry), entry]));
  return [...merged].sort(([a], [b]) => (a < b ? -1 : 1)).map(([, entry]) => entry);
}

/** True when this was measured already. */
export function isMeasured(
  entries: readonly SensitivityEntry[],
  wanted: Omit<SensitivityEntry, 'kl' | 'positions'>,
): boolean {
  return entries.some(
    ({ unit, bits, text, reference }) =>
      unit === wanted.unit && bits === wanted.bits && text === wanted.text && reference === wanted.reference,
  );
}

/**
 * Damage by unit and precision: KL above that of the whole set at its highest precision under the same text and reference,
 * averaged over texts by their positions.
 */
export function measuredDamage(entries: readonly SensitivityEntry[]): ReadonlyMap<string, ReadonlyMap<number, number>> {
  const bases = new Map(
    entries.filter(({ unit }) => unit === '*').map((base) => [`${base.text} ${base.reference}`, base.kl]),
  );
  const sums = new Map<string, Map<number, { sum: number; positions: number }>>();
  for (const { unit, bits, kl, positions, text, reference } of entries) {
    if (unit === '*') continue;
    const damage = Math.max(0, kl - (bases.get(`${text} ${reference}`) ?? 0));
    const own = sums.get(unit) ?? new Map<number, { sum: number; positions: number }>();
    const known = own.get(bits) ?? { sum: 0, positions: 0 };
    own.set(bits, { sum: known.sum + damage * positions, positions: known.positions + positions });
    sums.set(unit, own);
  }
  return new Map(
    [...sums].map(([unit, own]) => [
      unit,
      new Map([...own].map(([bits, { sum, positions }]) => [bits, sum / positions])),
    ]),
  );
}
