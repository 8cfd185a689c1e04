/** Everything that is no projection of a block, made small: the embedding and the head, a repeated head, what stays float. */
import { join } from 'node:path';
import { dropNotes } from '../../passes/drop-notes.js';
import { quantizeEmbedding } from '../../passes/quantize-embedding.js';
import { shareTiedHead } from '../../passes/share-tied-head.js';
import { storeFloat16 } from '../../passes/store-float16.js';
import type { ModelAnalysis } from '../analysis/projection.js';
import { SpillFile } from '../capture/index.js';
import { PLACEHOLDER_DOMAIN } from '../emit/sites.js';
import type { Model, Value } from '../onnx/ir/graph.js';
import { runPasses, step } from '../onnx/rewrite/run-passes.js';
import type { Recipe } from '../recipe/index.js';
import { type Source, tableBits, tokenTablesOf } from '../source/index.js';
import { type SolvedTable, solveTable, type TableReport, type TableWork } from './solve-tables.js';

/** What became of the tables. Codes can be read until they are closed. */
export interface CompressedTables {
  readonly reports: readonly TableReport[];
  close(): void;
}

/**
 * Quantizes the embedding and the head of `source` in place, where the recipe says so, or stores a repeated head once. Codes
 * wait in a file of `folder`.
 */
export async function compressTables(
  source: Source,
  folder: string,
  work: Omit<TableWork, 'spill'>,
): Promise<CompressedTables> {
  if (work.recipe.notes === 'drop') runPasses(source.model, [step(dropNotes)]);
  const bits = tableBits(work.recipe);
  if (bits === undefined) {
    if (work.recipe.shareTiedHead) runPasses(source.model, [step(shareTiedHead)]);
    return { reports: [], close: () => {} };
  }
  const spill = new SpillFile(join(folder, '.tables'));
  try {
    const solved: SolvedTable[] = [];
    for (const table of tokenTablesOf(source.analysis)) solved.push(await solveTable(table, bits, { ...work, spill }));
    const { accuracyLevel } = work.recipe;
    const targets = solved.map(({ table: { name, embedding, head }, packed }) => {
      return { name, embedding, head, accuracyLevel, table: packed };
    });
    runPasses(source.model, [step(quantizeEmbedding, {}, targets)]);
    return { reports: solved.map(({ report }) => report), close: () => spill.close() };
  } catch (error) {
    spill.close();
    throw error;
  }
}

/** Stores what stays float in `template` as the recipe says, in place. */
export function shrinkFloats(template: Model, { embedding, projections }: ModelAnalysis, recipe: Recipe): void {
  const run = (material: ReadonlySet<Value> | undefined): unknown =>
    runPasses(template, [step(storeFloat16, {}, material)], [PLACEHOLDER_DOMAIN]);
  if (recipe.floatStorage === 'float16') run(undefined);
  else if (recipe.embeddingBits === 16) {
    const heads = projections.filter(({ role }) => role === 'head');
    run(new Set([embedding, ...heads].flatMap((table) => table?.weight.source ?? [])));
  }
}
