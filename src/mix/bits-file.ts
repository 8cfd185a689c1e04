/** Tables of precisions as files: read, checked against a set, and written back as short as they can be. */
import { readFileSync, writeFileSync } from 'node:fs';
import { z } from 'zod';
import { fail } from '../diagnostics.js';
import { staged } from '../files/staging.js';
import { effectiveBits, type ProjectionPlace, type SetLayout } from '../quant/layout.js';
import { isPrecision, type Precision } from '../quant/precision.js';

/** Precision of each projection by id. */
export type BitsTable = Readonly<Record<string, Precision>>;

const bitsFile = z.union([z.array(z.number()), z.record(z.string(), z.number())]);

/**
 * A table of precisions: a list with one entry per layer, or an object from projection ids (`layers.0.down`), layers
 * (`layers.3`) and `*` to bits. The longest key that fits wins.
 */
export function readBitsFile(path: string, layout: SetLayout): BitsTable {
  const parsed = bitsFile.safeParse(readJson(path));
  if (!parsed.success)
    fail('bits-file', path, 'The file is neither a list of bits per layer nor an object from names to bits');
  const keys = Array.isArray(parsed.data) ? layerKeys(parsed.data, layout, path) : parsed.data;
  checkKeys(keys, layout, path);
  const entries = layout.projections.map((place) => {
    const bits =
      keys[longestKey(keys, place) ?? fail('bits-file', path, `No entry of the file matches ${place.id}; add a "*"`)];
    return [place.id, effectiveBits(place, bits as number)] as const;
  });
  return Object.fromEntries(entries);
}

/** Writes a table that `readBitsFile` reads: one key per layer where its projections agree. */
export function writeBitsFile(path: string, table: BitsTable): void {
  const layers = new Map<string, Set<Precision>>();
  for (const [id, bits] of Object.entries(table)) {
    const layer = layerOf(id);
    layers.set(layer, (layers.get(layer) ?? new Set()).add(bits));
  }
  const entries = Object.entries(table).map(([id, bits]) => {
    return [layers.get(layerOf(id))?.size === 1 ? layerOf(id) : id, bits] as const;
  });
  staged(path, (temporary) =>
    writeFileSync(temporary, `${JSON.stringify(Object.fromEntries(entries), undefined, 1)}\n`),
  );
}

/** `layers.3` of `layers.3.down`; what belongs to no layer stands for itself. */
const layerOf = (id: string): string => /^layers\.\d+/.exec(id)?.[0] ?? id;

function layerKeys(list: readonly number[], layout: SetLayout, path: string): Readonly<Record<string, number>> {
  const layers = new Set(layout.projections.map(({ layer }) => layer).filter((layer) => layer >= 0));
  if (list.length !== layers.size)
    fail('bits-file', path, `The list has ${list.length} entries, but the set has ${layers.size} layers`);
  return Object.fromEntries(list.map((bits, at) => [`layers.${[...layers][at]}`, bits]));
}

function checkKeys(keys: Readonly<Record<string, number>>, layout: SetLayout, path: string): void {
  for (const [key, bits] of Object.entries(keys)) {
    if (!isPrecision(bits) || !layout.bits.includes(bits)) {
      fail('bits-file', path, `${JSON.stringify(key)} asks for ${bits} bits; the set has ${layout.bits.join(', ')}`);
    }
    if (!layout.projections.some((place) => fits(key, place))) {
      fail('bits-file', path, `${JSON.stringify(key)} is no projection or layer of the set`);
    }
  }
}

function longestKey(keys: Readonly<Record<string, number>>, place: ProjectionPlace): string | undefined {
  return Object.keys(keys)
    .filter((key) => fits(key, place))
    .sort((a, b) => b.length - a.length)[0];
}

const fits = (key: string, { id }: ProjectionPlace): boolean => key === '*' || id === key || id.startsWith(`${key}.`);

function readJson(path: string): unknown {
  let text: string;
  try {
    text = readFileSync(path, 'utf8');
  } catch {
    return fail('file-missing', path, 'The file cannot be opened');
  }
  try {
    return JSON.parse(text);
  } catch {
    return fail('bits-file', path, 'The file is not JSON');
  }
}
