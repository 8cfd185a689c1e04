/**
 * Embedding and head to packed codes: solved like any projection, in ranges of rows, so that memory does not grow with the
 * vocabulary. A head is solved under the Gram matrix of its input. An embedding's rows are outputs themselves, whose errors
 * count alike, so its Gram matrix is I. A tied table balances both: H = H_head / mean(diag) + μ · I.
 */
import type { PackedTable } from '../../passes/quantize-embedding.js';
import { hessianOf, type SpillFile, type Statistics } from '../capture/index.js';
import { loadRows, type StoredWeight } from '../kernels/load-rows.js';
import type { KernelPool } from '../kernels/pool.js';
import type { Context } from '../log.js';
import { tensorOf } from '../onnx/ir/tensor.js';
import { compressTable, SUPER_BLOCK } from '../quant/compress.js';
import { blocksOf } from '../quant/grid.js';
import { packMatMulNBits } from '../quant/pack.js';
import type { Recipe } from '../recipe/index.js';
import { storedRows, type TableBits, type TokenTable, tableBlock } from '../source/index.js';
import { type PrecisionError, type Solved, type SolveItem, type SolveOptions, solveEach } from './kernel/solve.js';
import type { SolvedFiles } from './solved-files.js';

/** Weight μ of the embedding's errors in a tied table, relative to the mean power of the head's input. */
const EMBEDDING_SHARE = 0.1;
/** Weights solved at a time. */
export const TABLE_STAGE: number = 1 << 23;

/** Embedding or head as it was quantized. */
export interface TableReport {
  readonly name: string;
  readonly tied: boolean;
  readonly bits: number;
  readonly block: number;
  readonly rows: number;
  readonly cols: number;
  /** Codes and scales. */
  readonly bytes: number;
  /** Error relative to the output's energy, of plain rounding and as solved, on a sample of rows. */
  readonly error: PrecisionError;
  readonly seconds: number;
}

export interface SolvedTable {
  readonly table: TokenTable;
  readonly packed: PackedTable;
  readonly report: TableReport;
}

/** What solving needs beside the tables. */
export interface TableWork {
  readonly recipe: Recipe;
  readonly statistics: Statistics | undefined;
  /** Where packed codes wait. */
  readonly spill: SpillFile;
  readonly files: SolvedFiles;
  readonly pool: KernelPool;
  readonly context: Context;
}

/** Solves one table; its codes go to the spill file. */
export async function solveTable(table: TokenTable, bits: TableBits, work: TableWork): Promise<SolvedTable> {
  const { recipe, spill, context } = work;
  const { name, rows, cols } = table;
  const block = tableBlock(table, recipe.embeddingBlock);
  const started = performance.now();
  const blocks = blocksOf(cols, block);
  const offset = spill.length;
  const scales = new Float32Array(rows * blocks.count);
  const errors: PrecisionError[] = [];
  let done = 0;
  for await (const solved of solveRanges(table, (isMeasured) => optionsOf(recipe, bits, block, isMeasured), work)) {
    context.signal.throwIfAborted();
    const count = solved.codes.length / cols;
    spill.append(packMatMulNBits(solved.codes, count, blocks, bits));
    scales.set(scalesOf(solved, bits), done * blocks.count);
    const error = solved.report.error.get(bits);
    if (error !== undefined) errors.push(error);
    done += count;
    context.progress.update({ stage: 'tables', done, total: rows, detail: name });
  }
  const codes = spill.tensor('uint8', [rows, blocks.count, (block * bits) / 8], offset);
  const packed: PackedTable = { bits, block, codes, ...storedScales(scales, table, blocks.count, bits, recipe) };
  const bytes = [codes, packed.scales, packed.supers].reduce((sum, tensor) => sum + (tensor?.byteLength ?? 0), 0);
  const tied = table.embedding !== undefined && table.head !== undefined;
  const seconds = (performance.now() - started) / 1000;
  return { table, packed, report: { name, tied, bits, block, rows, cols, bytes, error: meanError(errors), seconds } };
}

export const meanError = (errors: readonly PrecisionError[]): PrecisionError => ({
  before: errors.reduce((sum, { before }) => sum + before, 0) / Math.max(1, errors.length),
  after: errors.reduce((sum, { after }) => sum + after, 0) / Math.max(1, errors.length),
});

/** Rows of a table, and how they are solved. */
export interface TableRange {
  readonly begin: number;
  readonly end: number;
  /** The id of each row, where these are in another order. */
  readonly order: Int32Array | undefined;
  /** Weight μ of the embedding's errors in a tied table. */
  readonly share: number;
}

/**
 * Ranges of rows in order, each from its file or from the solver, which prepares the Gram matrix when the first is missing.
 * `optionsFor` is told whether the inputs of the head were measured.
 */
export async function* solveRanges(
  table: TokenTable,
  optionsFor: (isMeasured: boolean) => SolveOptions,
  work: Pick<TableWork, 'statistics' | 'files' | 'pool'>,
  { share = EMBEDDING_SHARE, begin: from = 0, end: to = table.rows, order }: Partial<TableRange> = {},
): AsyncGenerator<Solved> {
  const { statistics, files, pool } = work;
  const { name, cols } = table;
  const gram = await gramOf(table, statistics, share);
  const options = optionsFor(gram !== undefined);
  const facts = {
    table: [name, table.embedding?.head, share],
    statistics: gram && statistics?.header.digest,
    options,
  };
  const queue: StoredWeight[] = [];
  const solver = solveEach(pool, itemsFrom(queue, pool), cols, gram ?? identity(cols), options);
  const step = Math.max(16, Math.floor(TABLE_STAGE / cols / 16) * 16);
  try {
    for (let begin = from; begin < to; begin += step) {
      const stored = storedRows(table, begin, Math.min(begin + step, to), order);
      const key = files.key(stored, facts);
      const found = files.find(key);
      if (found === undefined) queue.push(stored);
      const solved = found ?? ((await solver.next()).value as Solved);
      if (found === undefined) files.save(key, solved);
      yield solved;
    }
  } finally {
    await solver.return(undefined);
  }
}

async function* itemsFrom(queue: StoredWeight[], pool: KernelPool): AsyncGenerator<SolveItem> {
  for (let stored = queue.shift(); stored !== undefined; stored = queue.shift()) {
    yield { name: stored.name, rows: stored.rows, weights: await loadRows(pool, stored) };
  }
}

/** The Gram matrix that a table is solved under; undefined stands for I. */
async function gramOf(
  table: TokenTable,
  statistics: Statistics | undefined,
  share: number,
): Promise<Float64Array | undefined> {
  const group = table.head?.group;
  if (statistics === undefined || group === undefined || !statistics.groups.includes(group)) return undefined;
  const gram = hessianOf(await statistics.load(group));
  if (table.embedding === undefined) return gram;
  const { cols } = table;
  let trace = 0;
  for (let i = 0; i < cols; i++) trace += gram[i * (cols + 1)] as number;
  if (!(trace > 0)) return undefined;
  const mixed = gram.map((value) => (value * cols) / trace);
  for (let i = 0; i < cols; i++) mixed[i * (cols + 1)] = (mixed[i * (cols + 1)] as number) + share;
  return mixed;
}

function identity(order: number): Float64Array {
  const matrix = new Float64Array(order * order);
  for (let i = 0; i < order; i++) matrix[i * (order + 1)] = 1;
  return matrix;
}

/** One precision with a scale of either sign about the middle code, which both operators decode without zero points. */
function optionsOf(recipe: Recipe, bits: TableBits, block: number, isMeasured: boolean): SolveOptions {
  return {
    bits: [bits],
    block,
    slice: 'prefix',
    decode: 'signed',
    symmetric: true,
    lambda: { [bits]: 1 },
    range: 'grid',
    codes: isMeasured ? 'gptq' : 'round',
    damping: recipe.damping,
    rounds: Math.min(1, recipe.rounds),
    sweeps: Math.min(1, recipe.sweeps),
  };
}

/** w = scale · (code − 2^(bits−1)): the fitted table of a narrow parent, the grid itself of an 8-bit one. */
function scalesOf(solved: Solved, bits: TableBits): Float32Array {
  return (bits === 8 ? solved.parent : solved.tables.get(bits))?.scale ?? new Float32Array();
}

/** Eight bits and a share of a super-scale are enough beside codes of 2 or 4 bits; 8-bit codes deserve float16. */
function storedScales(
  scale: Float32Array,
  { name }: TokenTable,
  count: number,
  bits: TableBits,
  recipe: Recipe,
): Pick<PackedTable, 'scales' | 'supers'> {
  const form = bits === 8 || scale.length % SUPER_BLOCK !== 0 ? 'fp16' : recipe.tables;
  const stored = compressTable({ scale, offset: new Float32Array(scale.length) }, form, name);
  if (stored.form === 'fp16') return { scales: tensorOf('float16', [scale.length / count, count], stored.scale) };
  const { codes, supers } = stored.scale;
  const dtype = codes instanceof Int8Array ? 'int8' : 'uint8';
  return {
    scales: tensorOf(dtype, [supers.length, SUPER_BLOCK], codes),
    supers: tensorOf('float16', [supers.length, 1], supers),
  };
}
