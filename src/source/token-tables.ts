/** The token embedding and the head as tables [V, H] to be quantized: one for both where the head repeats the embedding. */
import type { Embedding, ModelAnalysis, Projection, Weight } from '../analysis/projection.js';
import { fail } from '../diagnostics.js';
import type { StoredWeight } from '../kernels/load-rows.js';
import { DTYPES } from '../onnx/ir/dtype.js';
import type { Recipe } from '../recipe/index.js';

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

/** Bits of quantized tables, or undefined when the recipe keeps them float. */
export function tableBits({ embeddingBits }: Pick<Recipe, 'embeddingBits'>): TableBits | undefined {
  return embeddingBits === 'keep' || embeddingBits === 16 ? undefined : embeddingBits;
}

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
export function tableBlock({ name, cols, embedding }: TokenTable, most: Recipe['embeddingBlock']): number {
  if (embedding === undefined) return most;
  let block: number = most;
  while (block >= 16 && cols % block !== 0) block /= 2;
  if (block >= 16) return block;
  return fail(
    'unsupported-target',
    name,
    `The hidden size ${cols} is not a multiple of 16, so runtimes cannot look rows up in packed codes: keep the embedding`,
  );
}

/** Rows [begin, end) as they are stored; only their bytes are read. */
export function storedRows({ name, weight, rows, cols }: TokenTable, begin: number, end: number): StoredWeight {
  const { tensor, layout } = weight;
  const size = DTYPES[tensor.dtype].bits / 8;
  const count = end - begin;
  const stored = { name, dtype: tensor.dtype, layout, rows: count, cols };
  if (layout === 'NK') return { ...stored, bytes: tensor.bytes(begin * cols * size, end * cols * size) };
  const strip = count * size;
  const bytes = new Uint8Array(cols * strip);
  for (let k = 0; k < cols; k++) {
    const at = (k * rows + begin) * size;
    bytes.set(tensor.bytes(at, at + strip), k * strip);
  }
  return { ...stored, bytes };
}
