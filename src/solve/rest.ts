/** Everything that is no projection of a block, made small: the embedding and the head, a repeated head, what stays float. */
import { join } from 'node:path';
import { dropNotes } from '../../passes/drop-notes.js';
import { quantizeEmbedding } from '../../passes/quantize-embedding.js';
import { shareTiedHead } from '../../passes/share-tied-head.js';
import { storeFloat16 } from '../../passes/store-float16.js';
import type { ModelAnalysis } from '../analysis/projection.js';
import { SpillFile } from '../capture/index.js';
import type { Model } from '../onnx/ir/graph.js';
import { Rewriter } from '../onnx/rewrite/rewriter.js';
import { runPasses, step } from '../onnx/rewrite/run-passes.js';
import { type Recipe, TARGETS } from '../recipe/index.js';
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
    const { accuracyLevel, target } = work.recipe;
    const lookup = TARGETS[target].lookup;
    const targets = solved.map(({ table: { name, embedding, head }, packed }) => {
      return { name, embedding, head, accuracyLevel, table: packed, lookup };
    });
    runPasses(source.model, [step(quantizeEmbedding, {}, targets)]);
    return { reports: solved.map(({ report }) => report), close: () => spill.close() };
  } catch (error) {
    spill.close();
    throw error;
  }
}

/**
 * Stores what stays float in `template` as the recipe says, in place. A template has placeholders, which the verifier between
 * passes does not know, so the pass runs by itself.
 */
export function shrinkFloats(template: Model, { embedding, projections }: ModelAnalysis, recipe: Recipe): void {
  const rw = new Rewriter(template);
  const options = storeFloat16.options.parse({});
  if (recipe.floatStorage === 'float16') storeFloat16.run(rw, options, undefined);
  else if (recipe.embeddingBits === 16) {
    const heads = projections.filter(({ role }) => role === 'head');
    storeFloat16.run(rw, options, new Set([embedding, ...heads].flatMap((table) => table?.weight.source ?? [])));
  }
}
