/** Mixed precision by layer: one more graph over the data file of a set. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { z } from 'zod';
import { fail } from '../diagnostics.js';
import type { Context } from '../log.js';
import { effectiveBits, type ProjectionPlace, type SetLayout } from '../quant/layout.js';
import { type BitsOf, bitsPerWeight, prefixRead } from '../quant/layout-use.js';
import { isPrecision, type Precision } from '../quant/precision.js';
import { refuseShort, type Selection, type WrittenFile, writeSelection, writeStandalone } from './set-output.js';
import { type OpenTemplate, openTemplate } from './set-template.js';

/** What the mix is to reach. */
export type MixGoal =
  | { readonly averageBits: number }
  | { readonly targetBytes: number }
  | { readonly bitsFile: string };

export interface MixOptions {
  /** The .json of a set. */
  readonly set: string;
  readonly goal: MixGoal;
  /** The .onnx file to write; beside the set by default. */
  readonly output?: string;
  readonly standalone: boolean;
}

export interface MixResult {
  readonly files: readonly WrittenFile[];
  readonly averageBits: number;
  readonly storedBitsPerWeight: number;
  readonly layers: readonly { readonly layer: number; readonly bits: number }[];
}

export async function mix(options: MixOptions, context: Context): Promise<MixResult> {
  const open = openTemplate(options.set);
  const { layout } = open.set.manifest;
  const { name, table } = goalTable(options.goal, open);
  context.signal.throwIfAborted();
  const bitsOf: BitsOf = (id) => table[id] ?? fail('bits-file', id, 'The mix has no precision for this projection');
  refuseShort(open, prefixRead(layout, bitsOf));
  const selection: Selection = { name, bits: table, bitsOf };
  const output =
    options.output ?? join(open.set.folder, `${open.set.manifest.data.replace(/\.data$/, '')}_${name}.onnx`);
  const files = options.standalone ? writeStandalone(open, selection, output) : writeSelection(open, selection, output);
  const { average, stored } = bitsPerWeight(layout, bitsOf, options.standalone);
  return { files, averageBits: average, storedBitsPerWeight: stored, layers: layerBits(layout, bitsOf) };
}

/** Precisions by projection id, and what to call them. */
interface NamedTable {
  readonly name: string;
  readonly table: Readonly<Record<string, Precision>>;
}

function goalTable(goal: MixGoal, { set }: OpenTemplate): NamedTable {
  if ('bitsFile' in goal) return { name: 'mix', table: readBitsFile(goal.bitsFile, set.manifest.layout) };
  return fail(
    'bad-usage',
    set.path,
    'The set holds no sensitivities to search a mix with: give the precisions with --bits-file',
  );
}

const bitsFile = z.union([z.array(z.number()), z.record(z.string(), z.number())]);

/**
 * A table of precisions: a list with one entry per layer, or an object from projection ids (`layers.0.down`), layers
 * (`layers.3`) and `*` to bits. The longest key that fits wins.
 */
export function readBitsFile(path: string, layout: SetLayout): Readonly<Record<string, Precision>> {
  const parsed = bitsFile.safeParse(readJson(path));
  if (!parsed.success)
    fail('bits-file', path, 'The file is neither a list of bits per layer nor an object from names to bits');
  const keys = Array.isArray(parsed.data) ? layerKeys(parsed.data, layout, path) : parsed.data;
  checkKeys(keys, layout, path);
  const entries = layout.projections.map((place) => {
    const bits =
      keys[longestKey(keys, place) ?? fail('bits-file', path, `Nothing in the file fits ${place.id}; add a "*"`)];
    return [place.id, effectiveBits(place, bits as number)] as const;
  });
  return Object.fromEntries(entries);
}

function layerKeys(list: readonly number[], layout: SetLayout, path: string): Readonly<Record<string, number>> {
  const layers = new Set(layout.projections.map(({ layer }) => layer).filter((layer) => layer >= 0));
  if (list.length !== layers.size)
    fail('bits-file', path, `The list has ${list.length} entries, the set ${layers.size} layers`);
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

/** Average bits of each layer, by its weights. */
function layerBits(layout: SetLayout, bitsOf: BitsOf): MixResult['layers'] {
  const sums = new Map<number, { bits: number; weights: number }>();
  for (const { id, layer, k, n } of layout.projections) {
    const sum = sums.get(layer) ?? { bits: 0, weights: 0 };
    sums.set(layer, { bits: sum.bits + bitsOf(id) * k * n, weights: sum.weights + k * n });
  }
  return [...sums].map(([layer, { bits, weights }]) => ({ layer, bits: bits / weights }));
}

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
