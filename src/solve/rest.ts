/** Everything that is no projection of a block, made small: the embedding and the head, a repeated head, what stays float. */
import { dropNotes } from '../../passes/drop-notes.js';
import { type PackedTable, quantizeEmbedding } from '../../passes/quantize-embedding.js';
import { shareTiedHead } from '../../passes/share-tied-head.js';
import { storeFloat16 } from '../../passes/store-float16.js';
import { lookedUp, type ModelAnalysis } from '../analysis/projection.js';
import { SpillFile } from '../capture/index.js';
import { abstractProjections, abstractRows, PLACEHOLDER_DOMAIN } from '../emit/sites.js';
import type { Model, Value } from '../onnx/ir/graph.js';
import { tensorOf } from '../onnx/ir/tensor.js';
import { Rewriter } from '../onnx/rewrite/rewriter.js';
import { runPasses, step } from '../onnx/rewrite/run-passes.js';
import { siteOf } from '../quant/layout.js';
import { nestsTables, type Recipe, TARGETS } from '../recipe/index.js';
import {
  frequentRows,
  plannedTables,
  type Source,
  type TokenTable,
  tableBits,
  tokenTablesOf,
} from '../source/index.js';
import { type NestedTable, solveNestedTable } from './solve-nested-tables.js';
import { type SolvedTable, solveTable, type TableWork } from './solve-tables.js';
import type { TokenOrder } from './token-order.js';

/** The embedding and the head, solved: none where the recipe keeps them. Codes can be read until they are closed. */
export interface SolvedTables {
  readonly tables: readonly SolvedTable[];
  /** Those that are nested; then there are no others. */
  readonly nested: readonly NestedTable[];
  close(): void;
}

/** What solving tables needs, with the order of rows where the recipe sets frequent ids apart. */
export interface TablesWork extends Omit<TableWork, 'spill'> {
  readonly order?: TokenOrder | undefined;
  /** The name of the only table to solve; default all. */
  readonly only?: string | undefined;
}

/** The order of the rows of a table; undefined for that of ids. */
const orderOf = (table: TokenTable, recipe: Recipe, order: TokenOrder | undefined): TokenOrder | undefined =>
  frequentRows(table, recipe) > 0 && order?.ids.length === table.rows ? order : undefined;

/** Solves the embedding and the head, where the recipe says so. Codes wait in a file at `path` until they are closed. */
export async function solveTables(source: Source, path: string, work: TablesWork): Promise<SolvedTables> {
  const { analysis } = source;
  const bits = tableBits(work.recipe);
  const planned = plannedTables(analysis, work.recipe);
  const spill = new SpillFile(path);
  try {
    const tables: SolvedTable[] = [];
    const nested: NestedTable[] = [];
    const wanted = tokenTablesOf(analysis).filter(({ name }) => work.only === undefined || name === work.only);
    for (const table of wanted) {
      const order = orderOf(table, work.recipe, work.order);
      let begin = 0;
      for (const part of planned.filter((each) => siteOf(each) === table.name)) {
        nested.push(await solveNestedTable(table, part, { begin, order: order?.ids }, { ...work, spill }));
        begin += part.n;
      }
      if (bits !== undefined) tables.push(await solveTable(table, bits, { ...work, spill }));
    }
    return { tables, nested, close: () => spill.close() };
  } catch (error) {
    spill.close();
    throw error;
  }
}

/** Puts solved tables, or placeholders of nested ones, in the place of the embedding and the head of a copy of the source, or stores a repeated head once. */
export function placeTables(
  copy: Source,
  solved: readonly SolvedTable[],
  recipe: Recipe,
  order?: TokenOrder | undefined,
): void {
  const { notes, shareTiedHead: shares, accuracyLevel, target } = recipe;
  if (notes === 'drop') runPasses(copy.model, [step(dropNotes)]);
  if (nestsTables(recipe)) {
    abstractTables(copy, recipe, order);
    return;
  }
  if (tableBits(recipe) === undefined) {
    if (shares) runPasses(copy.model, [step(shareTiedHead)]);
    return;
  }
  const packed = new Map(solved.map(({ table, packed }) => [table.name, packed]));
  const targets = tokenTablesOf(copy.analysis).map(({ name, embedding, head }) => {
    return {
      name,
      embedding,
      head,
      accuracyLevel,
      table: packed.get(name) as PackedTable,
      lookup: TARGETS[target].lookup,
    };
  });
  runPasses(copy.model, [step(quantizeEmbedding, {}, targets)]);
}

/** Placeholders under the id of the table: a tied pair reads one. */
function abstractTables({ model, analysis }: Source, recipe: Recipe, order: TokenOrder | undefined): void {
  const rw = new Rewriter(model);
  for (const table of tokenTablesOf(analysis)) {
    const { name, embedding, head } = table;
    const own = orderOf(table, recipe, order);
    const rows = own && rw.initializer(model.graph, `${name}_rows`, tensorOf('int32', [table.rows], own.rows));
    if (head !== undefined) abstractProjections(rw, [{ id: name, sites: head.sites }], rows);
    if (embedding !== undefined) abstractRows(rw, name, embedding, rows);
  }
}

/** Stores what stays float in `template` as the recipe says, in place. */
export function shrinkFloats(template: Model, analysis: ModelAnalysis, recipe: Recipe): void {
  const run = (material: ReadonlySet<Value> | undefined): unknown =>
    runPasses(template, [step(storeFloat16, {}, material)], [PLACEHOLDER_DOMAIN]);
  if (recipe.floatStorage === 'float16') run(undefined);
  else if (recipe.embeddingBits === 16) {
    const heads = analysis.projections.filter(({ role }) => role === 'head');
    run(new Set([...lookedUp(analysis), ...heads].map(({ weight }) => weight.source)));
  }
}
