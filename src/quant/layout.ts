/**
 * Where every byte of a nested set lies, from shapes alone: the tensors that stay, then one section per precision with the bit
 * planes and tables it adds. A prefix of the file up to the end of a section is that whole smaller model.
 */
import { fail } from '../diagnostics.js';
import { SUPER_BLOCK, type TableForm } from './compress.js';
import { type Blocks, blocksOf } from './grid.js';
import { rowBytes } from './pack.js';
import { type Plane, planPlanes } from './planes.js';
import type { Precision } from './precision.js';
import type { DecodeKind } from './tables.js';

/** Bytes [offset, offset + length) of the data file. */
export interface Range {
  readonly offset: number;
  readonly length: number;
}

/** A plane, uint8 [n, blocks, block · width/8]. */
export interface PlanePlace extends Plane, Range {}

/** Element types of a stored column; 8-bit codes come with super-scales. */
export type ColumnType = 'float16' | 'uint8' | 'int8';

/** One column of a table, [n, columns]. 8-bit codes are padded with zeros to whole groups of 16. */
export interface ColumnPlace extends Range {
  readonly dtype: ColumnType;
  /** float16, one per 16 entries. */
  readonly supers?: Range | undefined;
}

/** The decode of one precision: Ŵ = scale · (C − 2^(m−1)) + offset over codes top-aligned in their m-bit container. */
export interface TablePlace {
  readonly bits: Precision;
  readonly scale: ColumnPlace;
  /** Absent: 0 (`signed`), half a code step (`mid`), or what the parent's zero point says (`tied`). */
  readonly offset?: ColumnPlace | undefined;
  /** uint8 [n, columns]: the parent's zero point; `tied` only, and only when it is not 128 everywhere. */
  readonly zero?: Range | undefined;
  /** float16 [n]: added to the output, where a bias was learned for this precision. */
  readonly bias?: Range | undefined;
}

export interface ProjectionPlace {
  readonly id: string;
  readonly layer: number;
  readonly role: string;
  readonly k: number;
  readonly n: number;
  /** Columns of X per block as MatMulNBits sees them: 16…256. */
  readonly block: number;
  /** Table entries per row: the number of blocks, or 1 when a whole row shares its scale. */
  readonly columns: number;
  /** The precisions this projection has, smallest first. */
  readonly chain: readonly Precision[];
  /** Of a token table: what the models of each precision of the set read; else the smallest of the chain that is not below. */
  readonly reads?: Readonly<Record<string, Precision>> | undefined;
  /** Of a part of a token table: the table, whose rows are those of its parts in their order. Default the id. */
  readonly table?: string | undefined;
  readonly planes: readonly PlanePlace[];
  /** One per precision of the chain; a single one of the parent for `tied`. */
  readonly tables: readonly TablePlace[];
}

/** What a precision adds to the file; `end` is the number of bytes that its model needs. */
export interface Section {
  readonly bits: Precision;
  readonly start: number;
  readonly end: number;
}

export interface SetLayout {
  /** Smallest first. */
  readonly bits: readonly Precision[];
  readonly decode: DecodeKind;
  readonly tables: TableForm;
  /** In the order they were given. */
  readonly rest: readonly Range[];
  readonly sections: readonly Section[];
  readonly projections: readonly ProjectionPlace[];
  /**
   * The embedding and the head, where they are nested; a tied pair is one table. n is the vocabulary, k the hidden size. A table
   * may be cut into parts, each with precisions of its own.
   */
  readonly tokenTables?: readonly ProjectionPlace[] | undefined;
  readonly byteLength: number;
}

/** A projection to be placed. */
export interface PlannedProjection {
  readonly id: string;
  readonly layer: number;
  readonly role: string;
  readonly k: number;
  readonly n: number;
  /** Lowest precision of this projection in every model of the set; default the lowest of the set. */
  readonly minBits?: number | undefined;
  /** The precisions that it has, smallest first; default those of the set from `minBits` on. */
  readonly chain?: readonly Precision[] | undefined;
}

/** An embedding or a head to be placed. */
export interface PlannedTable extends PlannedProjection {
  readonly block: Exclude<LayoutOptions['block'], 'channel'>;
  readonly chain: readonly Precision[];
  readonly reads: Readonly<Record<string, Precision>>;
  /** The table, where this is a range of its rows. */
  readonly table?: string | undefined;
}

export interface LayoutOptions {
  readonly bits: readonly Precision[];
  readonly block: 16 | 32 | 64 | 128 | 256 | 'channel';
  readonly decode: DecodeKind;
  readonly tables: TableForm;
  /** The parent's zero points are all 128, so `tied` stores none. */
  readonly symmetric?: boolean;
  /** Precisions that learn a bias for every output; default none. */
  readonly biased?: readonly number[];
}

const LARGE = 64 * 1024;
const PAGE = 4096;
const LINE = 64;

/** Lays out a set. `rest` are the byte lengths of the tensors that are not quantized. Deterministic. */
export function planSet(
  projections: readonly PlannedProjection[],
  rest: readonly number[],
  asked: LayoutOptions,
  tokenTables: readonly PlannedTable[] = [],
): SetLayout {
  const bits = asked.bits.toSorted((a, b) => a - b);
  if (bits.length === 0) fail('bad-usage', 'bits', 'the set has no precision');
  const file = new Extent();
  const restRanges = rest.map((length) => file.take(length));
  const inBlocks = projections.map((projection) => draftOf(projection, bits, asked));
  const tables = tokenTables.map((table) => {
    const draft = draftOf(table, bits, { ...asked, block: table.block });
    const part = table.table === undefined ? {} : { table: table.table };
    return { ...draft, place: { ...draft.place, reads: table.reads, ...part } };
  });
  const drafts = [...inBlocks, ...tables];
  const options = { ...asked, decode: decodeOf(asked.decode, drafts) };
  const sections = bits.map((each): Section => {
    const start = file.align(PAGE);
    for (const draft of drafts) takePlanes(draft, each, file);
    for (const draft of drafts) takeTables(draft, each, file, options);
    return { bits: each, start, end: file.length };
  });
  const placed = (all: readonly Draft[]): readonly ProjectionPlace[] =>
    all.map(({ place, planes, tables }) => ({ ...place, planes, tables }));
  return {
    bits,
    decode: options.decode,
    tables: options.tables,
    rest: restRanges,
    sections,
    projections: placed(inBlocks),
    ...(tables.length > 0 && { tokenTables: placed(tables) }),
    byteLength: file.length,
  };
}

/** A projection of one precision below 8 has a parent of that width, whose grid the int8 form of `tied` cannot express. */
function decodeOf(decode: DecodeKind, drafts: readonly Draft[]): DecodeKind {
  const narrow = drafts.some(({ place: { chain } }) => chain.length === 1 && chain[0] !== 8);
  return decode === 'tied' && narrow ? 'ab' : decode;
}

/** Everything that has a place: projections, then token tables. */
export const allPlaces = ({ projections, tokenTables = [] }: SetLayout): readonly ProjectionPlace[] => [
  ...projections,
  ...tokenTables,
];

/** The id of the placeholders that a place stands for: its own, or that of the table it is a part of. */
export const siteOf = ({ id, table }: Pick<ProjectionPlace, 'id' | 'table'>): string => table ?? id;

/** The precision a projection has in the model of `bits`: the smallest of its own chain that is not below. */
export function effectiveBits(place: Pick<ProjectionPlace, 'chain' | 'reads'>, bits: number): Precision {
  return place.reads?.[bits] ?? place.chain.find((each) => each >= bits) ?? (place.chain.at(-1) as Precision);
}

/** How the blocks of a placed projection lie, as the runtime sees them. */
export function placeBlocks(place: Pick<ProjectionPlace, 'k' | 'block'>): Blocks {
  return blocksOf(place.k, place.block);
}

/** The blocks that have a table entry each: those of the runtime, or a whole row. */
export function tableBlocks(place: Pick<ProjectionPlace, 'k' | 'block' | 'columns'>): Blocks {
  return blocksOf(place.k, place.columns === 1 ? 'channel' : place.block);
}

/** The planes that the codes of a projection at one of its own precisions are joined from. */
export const planesAt = ({ planes }: Pick<ProjectionPlace, 'planes'>, bits: Precision): readonly PlanePlace[] =>
  planes.filter((plane) => plane.precision <= bits);

/** The table that decodes a projection at one of its own precisions. */
export function tableAt(place: ProjectionPlace, bits: Precision, decode: DecodeKind): TablePlace {
  const found = decode === 'tied' ? place.tables[0] : place.tables.find((table) => table.bits === bits);
  return found ?? fail('no-precision', place.id, `The set has no int${bits} table of this projection`);
}

/** Bytes of the file that the model of `bits` needs. */
export function bytesNeeded(layout: SetLayout, bits: number): number {
  const section = layout.sections.find((each) => each.bits === bits);
  return section?.end ?? fail('no-precision', 'bits', `The set has int${layout.bits.join(', int')}, not int${bits}`);
}

/** Block of the container: the recipe's, not wider than K needs; rows with one scale run in blocks of 128 or less. */
export function containerBlock(k: number, block: LayoutOptions['block']): number {
  const wanted = block === 'channel' ? 128 : block;
  let fits = 16;
  while (fits < k && fits < wanted) fits *= 2;
  return fits;
}

/** Hands out ranges of a growing file: large ones start at a page, small ones at a cache line. */
class Extent {
  length = 0;

  align(to: number): number {
    this.length = Math.ceil(this.length / to) * to;
    return this.length;
  }

  take(length: number): Range {
    const offset = this.align(length >= LARGE ? PAGE : LINE);
    this.length += length;
    return { offset, length };
  }
}

interface Draft {
  readonly place: Omit<ProjectionPlace, 'planes' | 'tables'>;
  readonly wanted: readonly Plane[];
  readonly planes: PlanePlace[];
  readonly tables: TablePlace[];
}

function draftOf(projection: PlannedProjection, bits: readonly Precision[], options: LayoutOptions): Draft {
  const { id, layer, role, k, n } = projection;
  const block = containerBlock(k, options.block);
  const columns = options.block === 'channel' ? 1 : blocksOf(k, block).count;
  const top = bits.at(-1) as Precision;
  const floor = Math.min(projection.minBits ?? 0, top);
  const chain = projection.chain ?? bits.filter((each) => each >= floor);
  return { place: { id, layer, role, k, n, block, columns, chain }, wanted: planPlanes(chain), planes: [], tables: [] };
}

function takePlanes(draft: Draft, section: Precision, file: Extent): void {
  const blocks = placeBlocks(draft.place);
  for (const plane of draft.wanted) {
    if (plane.precision > effectiveBits(draft.place, section) || draft.planes.some((p) => p.above === plane.above))
      continue;
    draft.planes.push({ ...plane, ...file.take(draft.place.n * rowBytes(blocks, plane.width)) });
  }
}

function takeTables(draft: Draft, section: Precision, file: Extent, options: LayoutOptions): void {
  const bits = effectiveBits(draft.place, section);
  if (draft.tables.some((table) => table.bits === bits)) return;
  if (options.decode === 'tied' && draft.tables.length > 0) return;
  const entries = draft.place.n * draft.place.columns;
  const scale = takeColumn(entries, options.tables, options.decode === 'signed' ? 'int8' : 'uint8', file);
  draft.tables.push({
    bits,
    scale,
    ...(options.decode === 'ab' && { offset: takeColumn(entries, options.tables, 'int8', file) }),
    ...(options.decode === 'tied' && !options.symmetric && { zero: file.take(entries) }),
    // A table that several precisions share belongs to none of them alone.
    ...(bits === section && isBiased(draft, bits, options) && { bias: file.take(2 * draft.place.n) }),
  });
}

/** Only projections of blocks learn a bias. */
const isBiased = ({ place }: Draft, bits: Precision, { biased }: LayoutOptions): boolean =>
  place.reads === undefined && (biased?.includes(bits) ?? false);

function takeColumn(entries: number, form: TableForm, coded: 'uint8' | 'int8', file: Extent): ColumnPlace {
  if (form === 'fp16') return { dtype: 'float16', ...file.take(2 * entries) };
  const groups = Math.ceil(entries / SUPER_BLOCK);
  const codes = file.take(groups * SUPER_BLOCK);
  return { dtype: coded, ...codes, supers: file.take(2 * groups) };
}
