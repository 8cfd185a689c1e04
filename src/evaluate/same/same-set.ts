/** How much two sets of one form differ: sets that were compiled from the same input on different processors, or by different versions. */
import { CompilerError, fail } from '../../diagnostics.js';
import { allPlaces, type ProjectionPlace } from '../../quant/layout.js';
import type { Precision } from '../../quant/precision.js';
import { digestOfSet, type OpenSet, openSetOf, type SetReader, SetTensors } from '../../set/index.js';
import { addChange, NO_CHANGE, type PrecisionChange, shareOf } from './precision-change.js';

export type { PrecisionChange } from './precision-change.js';

/** Two sets beside each other. */
export interface SetDifference {
  /** The set that was compared with, as it was named. */
  readonly with: string;
  /** True if data and graphs have the same bytes. */
  readonly equal: boolean;
  /** What else differs, and what may be the reason, as sentences. */
  readonly notes: readonly string[];
  /** One per precision that both files hold, smallest first. */
  readonly precisions: readonly PrecisionChange[];
  /** Largest share of different codes over all precisions, 0 to 1. */
  readonly codes: number;
  /** Largest root mean square change of the weights over all precisions, in steps of their codes. */
  readonly change: number;
}

/**
 * Compares the codes and decoded weights of two sets (.json or folder). Error code `not-comparable` where their projections, precisions
 * or blocks are not the same.
 */
export function differenceOf(set: string, other: string): SetDifference {
  const [a, b] = [openSetOf(set), openSetOf(other)];
  requireSameForm(a, b);
  const equal = isEqual(a, b);
  const precisions = precisionsOf(a, b);
  return {
    with: other,
    equal,
    notes: notesOf(a, b),
    precisions,
    codes: Math.max(0, ...precisions.map((each) => shareOf(each))),
    change: Math.max(0, ...precisions.map(({ rms }) => rms)),
  };
}

/** Whether every graph of the first set is one of the second, and the data is the same. */
function isEqual({ manifest: a }: OpenSet, { manifest: b }: OpenSet): boolean {
  return digestOfSet(a) === digestOfSet(b) && graphsApart(a, b).length === 0;
}

type Manifest = OpenSet['manifest'];

function graphsApart(a: Manifest, b: Manifest): readonly string[] {
  const digests = new Map(b.graphs.map(({ name, sha256 }) => [name, sha256]));
  return a.graphs.filter(({ name, sha256 }) => digests.get(name) !== sha256).map(({ name }) => name);
}

/** What differs beside codes and tables, and why that may be. */
function notesOf({ manifest: a }: OpenSet, { manifest: b }: OpenSet): readonly string[] {
  const notes: string[] = [];
  if (JSON.stringify(a.source.files ?? a.source.sha256) !== JSON.stringify(b.source.files ?? b.source.sha256))
    notes.push('The sets were compiled from different source files.');
  const fields = changedFields(a.recipe, b.recipe);
  if (fields.length > 0) notes.push(`The recipes differ in ${fields.join(', ')}.`);
  if (a.tool !== b.tool) notes.push(`The sets were written by ${a.tool} and ${b.tool}.`);
  const [here, there] = [a, b].map(({ provenance }) =>
    JSON.stringify([provenance['processor'], provenance['runtime']]),
  );
  if (here !== there)
    notes.push('The sets were compiled on different processors or with different versions of ONNX Runtime.');
  if (a.restSha256 !== b.restSha256)
    notes.push('Tensors that all precisions share (norms, biases, shared token tables) differ.');
  const apart = digestOfSet(a) === digestOfSet(b) ? graphsApart(a, b) : [];
  if (apart.length > 0) notes.push(`Graphs differ: ${apart.join(', ')}.`);
  return notes;
}

function changedFields(a: unknown, b: unknown): readonly string[] {
  const [one, two] = [a, b].map((recipe) => (recipe ?? {}) as Record<string, unknown>) as [
    Record<string, unknown>,
    Record<string, unknown>,
  ];
  const names = new Set([...Object.keys(one), ...Object.keys(two)]);
  return [...names].filter((name) => JSON.stringify(one[name]) !== JSON.stringify(two[name])).sort();
}

/** Places, precisions and decode have to be the same: only then does a code of one set stand for the weight of the other's. */
function requireSameForm(a: OpenSet, b: OpenSet): void {
  const [one, two] = [a.manifest.layout, b.manifest.layout];
  const refuse = (what: string): never =>
    fail('not-comparable', b.path, `The set cannot be compared with ${a.path}: ${what}`);
  if (one.decode !== two.decode) refuse(`decode is ${two.decode}, not ${one.decode}`);
  if (one.bits.join() !== two.bits.join())
    refuse(`it has the precisions ${two.bits.join(', ')}, not ${one.bits.join(', ')}`);
  const others = new Map(allPlaces(two).map((place) => [place.id, formOf(place)]));
  for (const place of allPlaces(one)) {
    const form = others.get(place.id);
    if (form === undefined) refuse(`it does not have ${place.id}`);
    if (form !== formOf(place)) refuse(`${place.id} is ${form}, not ${formOf(place)}`);
  }
  const more = allPlaces(two).length - allPlaces(one).length;
  if (more > 0) refuse(`it has ${more} more projections or token tables`);
}

function formOf({ n, k, block, columns, chain, reads }: ProjectionPlace): string {
  const read = reads === undefined ? '' : `, read at ${JSON.stringify(reads)}`;
  return `[${n}, ${k}] in ${columns === 1 ? 'rows' : `blocks of ${block}`} at ${chain.join('/')} bits${read}`;
}

function precisionsOf(a: OpenSet, b: OpenSet): readonly PrecisionChange[] {
  const held = (set: OpenSet): readonly Precision[] =>
    set.manifest.layout.sections.filter(({ end }) => end <= set.dataBytes).map(({ bits }) => bits);
  const both = held(a).filter((bits) => held(b).includes(bits));
  const readers = [a, b].map((set) => new SetTensors(set.manifest.data, set.dataPath));
  const [one, two] = [a, b].map(({ manifest }, at) => readers[at]?.reader(manifest.layout)) as [SetReader, SetReader];
  try {
    return both.map((bits) => precisionOf(one, two, bits));
  } catch (error) {
    if (error instanceof CompilerError) throw error;
    return fail('damaged', b.path, `The set cannot be read: ${error instanceof Error ? error.message : String(error)}`);
  } finally {
    for (const reader of readers) reader.close();
  }
}

function precisionOf(one: SetReader, two: SetReader, bits: Precision): PrecisionChange {
  const others = new Map(allPlaces(two.layout).map((place) => [place.id, place]));
  let total = NO_CHANGE(bits);
  for (const place of allPlaces(one.layout))
    total = addChange(total, [one, two], [place, others.get(place.id) as ProjectionPlace]);
  return total;
}
