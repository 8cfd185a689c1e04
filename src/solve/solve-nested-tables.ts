/**
 * Embedding and head as nested parents: all precisions share codes, as in projections, and each has tables of its own. Rows are
 * solved in ranges, under the same Gram matrix as a table of one precision.
 */
import type { Tensor } from '../onnx/ir/tensor.js';
import { type PlannedTable, planSet, type SetLayout } from '../quant/layout.js';
import { storedBytes } from '../quant/layout-use.js';
import type { Precision } from '../quant/precision.js';
import type { DecodeTable } from '../quant/tables.js';
import { lambdaOf, type Recipe } from '../recipe/index.js';
import type { TokenTable } from '../source/index.js';
import { type Nested, type PrecisionError, parentBits, type Solved, type SolveOptions } from './kernel/options.js';
import { meanError, solveRanges, type TableRange, type TableReport, type TableWork } from './solve-tables.js';

/**
 * Weight μ of the embedding's errors in a tied table. TinyStories-656K with a table of 3 bits: KL of int3 .2149 at μ = .1, .2102 at
 * .4, .2079 at 2; of int4 .0675, .0647 and .0633.
 */
const EMBEDDING_SHARE = 1;

/** A solved table or part of one: parent codes in a file, and the tables of all its precisions. */
export interface NestedTable {
  readonly id: string;
  /** uint8 [rows, cols]; a parent of fewer than 8 bits fills the leading ones. */
  readonly codes: Tensor;
  readonly nested: Omit<Nested, 'codes'>;
  /** One for each precision. */
  readonly reports: readonly TableReport[];
}

/** Solves rows of a table from `begin` on for all precisions of their chain; their codes go to the spill file. */
export async function solveNestedTable(
  table: TokenTable,
  planned: PlannedTable,
  { begin, order }: Pick<TableRange, 'begin' | 'order'>,
  work: TableWork,
): Promise<NestedTable> {
  const { recipe, spill, context } = work;
  const { name, cols } = table;
  const { id, n: rows } = planned;
  const started = performance.now();
  const offset = spill.length;
  const shift = 8 - parentBits(planned.chain);
  const collected = new CollectedTables(rows * Math.ceil(cols / planned.block));
  let done = 0;
  const range: TableRange = { begin, end: begin + rows, order, share: EMBEDDING_SHARE };
  const optionsFor = (isMeasured: boolean): SolveOptions => optionsOf(recipe, planned, isMeasured);
  for await (const solved of solveRanges(table, optionsFor, work, range)) {
    context.signal.throwIfAborted();
    spill.append(shift === 0 ? solved.codes : solved.codes.map((code) => code << shift));
    collected.add(solved);
    done += solved.codes.length / cols;
    context.progress.update({ stage: 'tables', done, total: rows, detail: name });
  }
  const codes = spill.tensor('uint8', [rows, cols], offset);
  const seconds = (performance.now() - started) / 1000;
  return { id, codes, nested: collected.nested, reports: reportsOf(table, planned, recipe, { collected, seconds }) };
}

/** Tables of the ranges of rows, one behind the other. */
class CollectedTables {
  readonly #entries: number;
  readonly #parent: DecodeColumns;
  readonly #tables: Map<Precision, DecodeColumns> = new Map();
  readonly #errors: Map<Precision, PrecisionError[]> = new Map();

  constructor(entries: number) {
    this.#entries = entries;
    this.#parent = new DecodeColumns(entries);
  }

  get nested(): Omit<Nested, 'codes'> {
    const { scale, offset: zero } = this.#parent;
    return { parent: { scale, zero }, tables: this.#tables };
  }

  add({ parent, tables, report }: Solved): void {
    this.#parent.append({ scale: parent.scale, offset: parent.zero });
    for (const [bits, table] of tables) {
      const columns = this.#tables.get(bits) ?? new DecodeColumns(this.#entries);
      columns.append(table);
      this.#tables.set(bits, columns);
    }
    for (const [bits, error] of report.error) this.#errors.set(bits, [...(this.#errors.get(bits) ?? []), error]);
  }

  error(bits: Precision): PrecisionError {
    return meanError(this.#errors.get(bits) ?? []);
  }
}

class DecodeColumns implements DecodeTable {
  readonly scale: Float32Array;
  readonly offset: Float32Array;
  #length = 0;

  constructor(entries: number) {
    this.scale = new Float32Array(entries);
    this.offset = new Float32Array(entries);
  }

  append({ scale, offset }: DecodeTable): void {
    this.scale.set(scale, this.#length);
    this.offset.set(offset, this.#length);
    this.#length += scale.length;
  }
}

/** As for projections, in one round: vocabularies are long. */
function optionsOf(recipe: Recipe, { chain, block }: PlannedTable, isMeasured: boolean): SolveOptions {
  const { decode, symmetric, range, damping, rounds, sweeps } = recipe;
  return {
    bits: chain,
    block,
    slice: 'prefix',
    decode,
    symmetric,
    lambda: lambdaOf(recipe, chain),
    range,
    codes: isMeasured ? 'gptq' : 'round',
    damping,
    rounds: Math.min(1, rounds),
    sweeps: Math.min(1, sweeps),
  };
}

function reportsOf(
  { name, cols, embedding, head }: TokenTable,
  planned: PlannedTable,
  recipe: Recipe,
  { collected, seconds }: { readonly collected: CollectedTables; readonly seconds: number },
): readonly TableReport[] {
  const layout: SetLayout = planSet([], [], recipe, [planned]);
  const [place] = layout.tokenTables ?? [];
  if (place === undefined) throw new Error(`${name} has no place`);
  const { n: rows } = planned;
  const tied = embedding !== undefined && head !== undefined;
  return planned.chain.map((bits) => {
    const read = Object.keys(planned.reads).find((each) => planned.reads[each] === bits) ?? bits;
    const bytes = storedBytes(layout, place, Number(read), false);
    const error = collected.error(bits);
    return { name, tied, bits, block: place.block, rows, cols, bytes, error, seconds: seconds / planned.chain.length };
  });
}
