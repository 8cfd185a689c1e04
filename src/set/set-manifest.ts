/** NAME.json: what a nested set is made of and where it lies. One schema checks it on reading and writing. */
import { closeSync, openSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { z } from 'zod';
import { CompilerError, fail } from '../diagnostics.js';
import { isSealed, sealedJson } from '../files/seal.js';
import { staged } from '../files/staging.js';
import { readFully } from '../files/transfer.js';
import { SUPER_BLOCK } from '../quant/compress.js';
import { allPlaces, type ColumnPlace, type ProjectionPlace, placeBlocks, type SetLayout } from '../quant/layout.js';
import { rowBytes } from '../quant/pack.js';
import { PRECISIONS, type Precision } from '../quant/precision.js';
import { schemaIssues } from '../schema-issues.js';
import { idOf } from './set-identity.js';
import type { DigestedSection } from './set-writer.js';

/** Version of the format; a reader refuses others. */
export const SET_VERSION = 2;

/** File systems take names of 255 bytes. */
const LONGEST_NAME = 255;

const count = z.number().int().nonnegative();
const precision = z.union(PRECISIONS.map((bits) => z.literal(bits)));
const bareName = z
  .string()
  .max(LONGEST_NAME, `must be a file name of at most ${LONGEST_NAME} characters`)
  .regex(/^(?!\.{1,2}$)[^/\\:\0]+$/, 'must be a bare file name');
const sha256 = z.string().regex(/^[0-9a-f]{64}$/, 'must be a SHA-256 in hex');
const rangeShape = { offset: count, length: count };
const range = z.strictObject(rangeShape);
const column = z.strictObject({
  ...rangeShape,
  dtype: z.enum(['float16', 'uint8', 'int8']),
  supers: range.optional(),
});
const table = z.strictObject({
  bits: precision,
  scale: column,
  offset: column.optional(),
  zero: range.optional(),
  bias: range.optional(),
});
const plane = z.strictObject({
  ...rangeShape,
  above: count,
  width: z.union([1, 2, 4, 8].map((bits) => z.literal(bits as 1 | 2 | 4 | 8))),
  precision,
});
const projection = z.strictObject({
  id: z.string(),
  layer: z.number().int(),
  role: z.string(),
  k: z.number().int().positive(),
  n: z.number().int().positive(),
  block: z.union([16, 32, 64, 128, 256].map((size) => z.literal(size))),
  columns: z.number().int().positive(),
  chain: z.array(precision).min(1),
  reads: z.record(z.string(), precision).optional(),
  table: z.string().optional(),
  planes: z.array(plane),
  tables: z.array(table).min(1),
});
const layout = z.strictObject({
  bits: z.array(precision).min(1),
  decode: z.enum(['ab', 'mid', 'signed', 'tied']),
  tables: z.enum(['fp16', 'c8']),
  rest: z.array(range),
  sections: z.array(z.strictObject({ bits: precision, start: count, end: count })).min(1),
  projections: z.array(projection),
  tokenTables: z.array(projection).optional(),
  byteLength: count,
});
const graphFile = z.strictObject({
  file: bareName,
  /** `int4` or the name of a mix. */
  name: z.string(),
  /** One precision, or those that differ from it by projection id. */
  bits: z.union([precision, z.record(z.string(), precision)]),
  bytesNeeded: count,
  sha256,
});
const schema = z.object({
  format: z.literal('matquant-set'),
  version: z.literal(SET_VERSION, `must be ${SET_VERSION}: compile the set again, or use the version that wrote it`),
  tool: z.string(),
  source: z.object({
    name: z.string(),
    sha256: z.string().optional(),
    files: z.array(z.strictObject({ name: z.string(), bytes: count, sha256: z.string() })).optional(),
  }),
  recipe: z.unknown(),
  accuracyLevel: z.union([z.literal(0), z.literal(4)]),
  /** The beginning of the digest of the data, which is in the name of the data file too. */
  id: z.string(),
  data: bareName,
  layout,
  restSha256: sha256,
  sections: z.array(z.strictObject({ bits: precision, start: count, end: count, sha256 })).min(1),
  graphs: z.array(graphFile),
  /** Measures per graph name; filled by the verifier. */
  quality: z.record(z.string(), z.unknown()),
  provenance: z.record(z.string(), z.unknown()),
});

/** What a set was made from. */
export interface SetSource {
  readonly name: string;
  /** Of the graph file. */
  readonly sha256?: string | undefined;
  /** Graph file and data files, as they were read. */
  readonly files?: readonly { readonly name: string; readonly bytes: number; readonly sha256: string }[] | undefined;
}

/** A graph of the set. */
export interface SetGraph {
  readonly file: string;
  readonly name: string;
  /** One precision for all, or precisions by projection id. */
  readonly bits: Precision | Readonly<Record<string, Precision>>;
  readonly bytesNeeded: number;
  /** Of the file. */
  readonly sha256: string;
}

export interface SetManifest {
  readonly format: 'matquant-set';
  readonly version: typeof SET_VERSION;
  readonly tool: string;
  readonly source: SetSource;
  readonly recipe: unknown;
  readonly accuracyLevel: 0 | 4;
  /** The beginning of the digest of the data, `idOf`. */
  readonly id: string;
  /** Bare name of the data file. */
  readonly data: string;
  readonly layout: SetLayout;
  readonly restSha256: string;
  readonly sections: readonly DigestedSection[];
  readonly graphs: readonly SetGraph[];
  readonly quality: Readonly<Record<string, unknown>>;
  readonly provenance: Readonly<Record<string, unknown>>;
}

/** A set on disk. */
export interface OpenSet {
  readonly path: string;
  readonly folder: string;
  readonly manifest: SetManifest;
  readonly dataPath: string;
  /** Bytes of the data file that are there: fewer than the layout's after a cut. */
  readonly dataBytes: number;
}

const MANIFEST_LIMIT = 256 << 20;

/** Reads NAME.json and looks at the data file beside it. */
export function openSet(path: string): OpenSet {
  const manifest = parseManifest(readText(path), path);
  const folder = dirname(path);
  const dataPath = join(folder, manifest.data);
  const stats = statSync(dataPath, { throwIfNoEntry: false });
  if (stats === undefined || !stats.isFile()) fail('file-missing', dataPath, 'The data file of the set does not exist');
  return { path, folder, manifest, dataPath, dataBytes: stats.size };
}

/** Checks the text of a manifest. */
export function parseManifest(text: string, at: string): SetManifest {
  let parsed: unknown;
  try {
    parsed = JSON.parse(text);
  } catch {
    fail('not-a-set', at, 'The file is not JSON');
  }
  const result = schema.safeParse(parsed);
  if (!result.success) fail('not-a-set', at, `The manifest is not valid: ${schemaIssues(result.error, parsed)}`);
  checkRanges(result.data.layout, at);
  if (!isSealed(text)) fail('damaged', at, 'The manifest does not have the digest that it was written with');
  if (result.data.id !== idOf(result.data)) fail('damaged', at, 'The id of the manifest does not match its digests');
  return result.data;
}

/** The text of a manifest, with its digest; deterministic. */
export function manifestText(manifest: SetManifest): string {
  return sealedJson(schema.parse(manifest), 1);
}

export function writeManifest(path: string, manifest: SetManifest): void {
  staged(path, (temporary) => writeFileSync(temporary, manifestText(manifest)));
}

/** A manifest is input like any other: no range may leave the file or differ from what its shape takes. */
function checkRanges(set: SetLayout, at: string): void {
  const ranges = [
    ...set.rest,
    ...allPlaces(set).flatMap((place) => [...place.planes, ...place.tables.flatMap(rangesOf)]),
    ...set.sections.map(({ start, end }) => ({ offset: start, length: end - start })),
  ];
  for (const { offset, length } of ranges) {
    if (length < 0 || offset + length > set.byteLength) {
      fail('not-a-set', at, 'A range of the manifest is outside the data file');
    }
  }
  for (const place of allPlaces(set)) checkSizes(place, at);
}

function checkSizes(place: ProjectionPlace, at: string): void {
  const blocks = placeBlocks(place);
  const entries = place.n * place.columns;
  const groups = Math.ceil(entries / SUPER_BLOCK);
  const fits = (column: ColumnPlace): boolean =>
    column.supers === undefined
      ? column.dtype === 'float16' && column.length === 2 * entries
      : column.dtype !== 'float16' && column.length === groups * SUPER_BLOCK && column.supers.length === 2 * groups;
  const sound =
    (place.columns === 1 || place.columns === blocks.count) &&
    place.planes.every(({ width, length }) => length === place.n * rowBytes(blocks, width)) &&
    place.tables.every(({ scale, offset }) => fits(scale) && (offset === undefined || fits(offset))) &&
    place.tables.every(({ zero }) => zero === undefined || zero.length === entries) &&
    place.tables.every(({ bias }) => bias === undefined || bias.length === 2 * place.n);
  if (!sound) fail('not-a-set', at, `The sizes of the ranges of ${place.id} do not match its shape`);
}

function rangesOf({
  scale,
  offset,
  zero,
  bias,
}: SetLayout['projections'][number]['tables'][number]): readonly { offset: number; length: number }[] {
  return [scale, offset, zero, bias, scale.supers, offset?.supers].filter((each) => each !== undefined);
}

function readText(path: string): string {
  const stats = statSync(path, { throwIfNoEntry: false });
  if (stats === undefined || !stats.isFile()) fail('file-missing', path, 'There is no such file');
  if (stats.size > MANIFEST_LIMIT || !startsAsObject(path))
    fail('not-a-set', path, 'The file is not the manifest of a set');
  try {
    return readFileSync(path, 'utf8');
  } catch (error) {
    throw error instanceof CompilerError ? error : new CompilerError('file-missing', path, 'The file cannot be read');
  }
}

function startsAsObject(path: string): boolean {
  const descriptor = openSync(path, 'r');
  try {
    const first = new Uint8Array(1);
    return readFully(descriptor, first, 0) === 1 && first[0] === 0x7b;
  } finally {
    closeSync(descriptor);
  }
}
