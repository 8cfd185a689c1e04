/** Everything that is no projection of a block, made small: the embedding and the head, a repeated head, what stays float. */
import { dropNotes } from '../../passes/drop-notes.js';
import { type PackedTable, quantizeEmbedding } from '../../passes/quantize-embedding.js';
import { shareTiedHead } from '../../passes/share-tied-head.js';
import { storeFloat16 } from '../../passes/store-float16.js';
import type { ModelAnalysis } from '../analysis/projection.js';
import { SpillFile } from '../capture/index.js';
import { PLACEHOLDER_DOMAIN } from '../emit/sites.js';
import type { Model, Value } from '../onnx/ir/graph.js';
import { runPasses, step } from '../onnx/rewrite/run-passes.js';
import { type Recipe, TARGETS } from '../recipe/index.js';
import { type Source, tableBits, tokenTablesOf } from '../source/index.js';
import { type SolvedTable, solveTable, type TableWork } from './solve-tables.js';

/** The embedding and the head, solved: none where the recipe keeps them. Codes can be read until they are closed. */
export interface SolvedTables {
  readonly tables: readonly SolvedTable[];
  close(): void;
}

/** Solves the embedding and the head, where the recipe says so. Codes wait in a file at `path` until they are closed. */
export async function solveTables(source: Source, path: string, work: Omit<TableWork, 'spill'>): Promise<SolvedTables> {
  const bits = tableBits(work.recipe);
  if (bits === undefined) return { tables: [], close: () => undefined };
  const spill = new SpillFile(path);
  try {
    const tables: SolvedTable[] = [];
    for (const table of tokenTablesOf(source.analysis)) tables.push(await solveTable(table, bits, { ...work, spill }));
    return { tables, close: () => spill.close() };
  } catch (error) {
    spill.close();
    throw error;
  }
}

/** Puts solved tables in the place of the embedding and the head of a copy of the source, or stores a repeated head once. */
export function placeTables(copy: Source, solved: readonly SolvedTable[], recipe: Recipe): void {
  const { notes, shareTiedHead: shares, accuracyLevel, target } = recipe;
  if (notes === 'drop') runPasses(copy.model, [step(dropNotes)]);
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

/** Stores what stays float in `template` as the recipe says, in place. */
export function shrinkFloats(template: Model, { embedding, tables, projections }: ModelAnalysis, recipe: Recipe): void {
  const run = (material: ReadonlySet<Value> | undefined): unknown =>
    runPasses(template, [step(storeFloat16, {}, material)], [PLACEHOLDER_DOMAIN]);
  if (recipe.floatStorage === 'float16') run(undefined);
  else if (recipe.embeddingBits === 16) {
    const heads = projections.filter(({ role }) => role === 'head');
    run(new Set([embedding, ...tables, ...heads].flatMap((table) => table?.weight.source ?? [])));
  }
}
