/** The token embedding and the head as tables [V, H] to be quantized: one for both where the head repeats the embedding. */
import type { Embedding, ModelAnalysis, Projection, Weight } from '../analysis/projection.js';
import { fail } from '../diagnostics.js';
import type { StoredWeight } from '../kernels/load-rows.js';
import { DTYPES } from '../onnx/ir/dtype.js';
import type { PlannedTable } from '../quant/layout.js';
import { chainOf, frequentReads, nestsTables, type Recipe, tableReads } from '../recipe/index.js';

export interface TokenTable {
  /** Others than embedding and head have numbers from the second on. */
  readonly name: string;
  /** What its bytes count as. */
  readonly part: 'embedding' | 'head';
  /** V. */
  readonly rows: number;
  /** H. */
  readonly cols: number;
  readonly weight: Weight;
  /** Who reads it. */
  readonly embedding: Embedding | undefined;
  readonly head: Projection | undefined;
}

export type TableBits = 2 | 4 | 8;

/** Bits of tables that all models share, or undefined when the recipe keeps them float or nests them. */
export function tableBits({ embeddingBits }: Pick<Recipe, 'embeddingBits'>): TableBits | undefined {
  return typeof embeddingBits !== 'number' || embeddingBits === 16 ? undefined : embeddingBits;
}

/** Whether the tables are quantized, with one storage for all models or nested. */
export const quantizesTables = (recipe: Pick<Recipe, 'embeddingBits'>): boolean =>
  tableBits(recipe) !== undefined || nestsTables(recipe);

/** The tables of a model as the layout of a set places them: none where the recipe does not nest them. */
export function plannedTables(analysis: ModelAnalysis, recipe: Recipe): readonly PlannedTable[] {
  const reads = tableReads(recipe);
  if (reads === undefined) return [];
  return tokenTablesOf(analysis).flatMap((table) => partsOf(table, recipe));
}

/** Codes of a part: joined they take at most 1 GB, as int32 too, which is what ONNX Runtime folds. */
const MOST_CODES = 2 ** 28;

/** One part for rows of the same precisions; large ones are cut. */
function partsOf(table: TokenTable, recipe: Recipe): readonly PlannedTable[] {
  const { name, rows, cols, embedding, head } = table;
  const role = embedding === undefined ? 'head' : head === undefined ? 'embedding' : 'tied';
  const frequent = frequentRows(table, recipe);
  const kinds = [
    { count: frequent, reads: frequentReads(recipe) },
    { count: rows - frequent, reads: tableReads(recipe) },
  ].filter(({ count }) => count > 0);
  const parts = kinds.flatMap(({ count, reads = {} }) => {
    const chain = chainOf(recipe.bits, (bits) => reads[bits] ?? bits);
    return inPieces(count, cols).map((n) => ({ n, chain, reads }));
  });
  const block = tableBlock(table, recipe.embeddingBlock);
  return parts.map((part, index): PlannedTable => {
    const own = parts.length === 1 ? { id: name } : { id: `${name}.${index}`, table: name };
    return { ...own, layer: -1, role, k: cols, block, ...part };
  });
}

/** Rows in pieces that a runtime folds, each a multiple of 16 but for the last. */
function inPieces(rows: number, cols: number): readonly number[] {
  const pieces = Math.ceil((rows * cols) / MOST_CODES);
  const most = Math.ceil(rows / pieces / 16) * 16;
  return Array.from({ length: Math.ceil(rows / most) }, (_, at) => Math.min(most, rows - at * most));
}

/**
 * Rows of frequent ids, a multiple of 16; none where the recipe does not set them apart, or where rows cannot be put in another
 * order: those of a transposed table, and those of a head with a bias.
 */
export function frequentRows({ rows, weight, head }: TokenTable, { frequentIds }: Recipe): number {
  const isFixed = weight.layout !== 'NK' || (head?.sites.some(({ bias }) => bias !== undefined) ?? false);
  return frequentIds === undefined || isFixed ? 0 : Math.floor((rows * frequentIds.share) / 16) * 16;
}

/** Whether an id is that of a nested token table, or of a part of one, and not of a projection of a block. */
export const isTokenTableId = (id: string): boolean => /^(embedding|head|token_table(_\d+)?)(\.\d+)?$/.test(id);

/** The tables of a model: one for a tied pair, whichever way it is stored, else one each, and those that are looked up beside them. */
export function tokenTablesOf({ embedding, tables: others, projections }: ModelAnalysis): readonly TokenTable[] {
  const head = projections.find(({ role }) => role === 'head');
  const isTied = head !== undefined && (embedding?.head === 'tied' || embedding?.head === 'copy');
  const tables: TokenTable[] = [];
  if (embedding !== undefined) {
    const { weight, vocabulary: rows, hidden: cols } = embedding;
    tables.push({
      name: 'embedding',
      part: 'embedding',
      rows,
      cols,
      weight,
      embedding,
      head: isTied ? head : undefined,
    });
  }
  if (head !== undefined && !isTied) {
    const { weight, n: rows, k: cols } = head;
    tables.push({ name: 'head', part: 'head', rows, cols, weight, embedding: undefined, head });
  }
  for (const [at, table] of others.entries()) {
    const { weight, vocabulary: rows, hidden: cols } = table;
    const name = `token_table${at === 0 ? '' : `_${at + 1}`}`;
    tables.push({ name, part: 'embedding', rows, cols, weight, embedding: table, head: undefined });
  }
  return tables;
}

/**
 * Columns that share a scale: `most`, halved until it divides the hidden size of an embedding, because GatherBlockQuantized has
 * no padding. Fails where not even 16 does.
 */
export function tableBlock(
  { name, cols, embedding }: TokenTable,
  most: Recipe['embeddingBlock'],
): Recipe['embeddingBlock'] {
  if (embedding === undefined) return most;
  let block: number = most;
  while (block >= 16 && cols % block !== 0) block /= 2;
  if (block >= 16) return block as Recipe['embeddingBlock'];
  return fail(
    'unsupported-target',
    name,
    `The hidden size ${cols} is not a multiple of 16, so runtimes cannot look rows up in packed codes: keep the embedding`,
  );
}

/** Rows [begin, end) as they are stored, or those of the ids `order[begin]` to `order[end - 1]`; only their bytes are read. */
export function storedRows(
  { name, weight, rows, cols }: TokenTable,
  begin: number,
  end: number,
  order?: Int32Array,
): StoredWeight {
  const { tensor, layout } = weight;
  const size = DTYPES[tensor.dtype].bits / 8;
  const count = end - begin;
  const stored = { name, dtype: tensor.dtype, layout, rows: count, cols };
  if (order !== undefined) {
    const row = cols * size;
    const bytes = new Uint8Array(count * row);
    for (const [at, id] of order.subarray(begin, end).entries())
      bytes.set(tensor.bytes(id * row, (id + 1) * row), at * row);
    return { ...stored, bytes };
  }
  if (layout === 'NK') return { ...stored, bytes: tensor.bytes(begin * cols * size, end * cols * size) };
  const strip = count * size;
  const bytes = new Uint8Array(cols * strip);
  for (let k = 0; k < cols; k++) {
    const at = (k * rows + begin) * size;
    bytes.set(tensor.bytes(at, at + strip), k * strip);
  }
  return { ...stored, bytes };
}
