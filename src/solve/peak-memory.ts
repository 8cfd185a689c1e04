/** What a compilation will take in memory, before anything is computed. */

import type { Projection } from '../analysis/projection.js';
import { fail } from '../diagnostics.js';
import { wholeMegabytes } from '../format.js';
import { fileSizesOf } from '../onnx/convert/file-sizes.js';
import { METHODS, type Recipe } from '../recipe/index.js';
import { embeddingOf, quantizesTables, type Source, type TokenTable, tokenTablesOf } from '../source/index.js';
import { MOST_COLS } from './kernel/parts.js';
import { TABLE_STAGE } from './solve-tables.js';

/** The process itself, ONNX Runtime and the kernels, with what was read of the model: measured 190 MB on Gemma 3 270M. */
const BASE = 200e6;

/**
 * Bytes at the worst moment of measuring and solving, which holds one layer and the largest projections, however many layers the
 * model has. Activations and the check of the graphs come on top: they take what --memory allows.
 */
export function peakMemory(source: Source, recipe: Recipe): number {
  const tables = quantizesTables(recipe) ? tokenTablesOf(source.analysis) : [];
  return Math.max(
    BASE,
    ...groupsOf(source.chosen.map(({ projection }) => projection)).map((group) => groupMemory(group, recipe)),
    ...tables.map((table) => tableMemory(table, recipe)),
    ...(takesGram(recipe) ? [captureMemory(source, recipe)] : []),
  );
}

/** Whether weights are solved under Gram matrices. */
const takesGram = ({ method }: Recipe): boolean => METHODS[method].needs !== 'weights';

/** Bytes to solve projections of one input: width `k`, and `n` outputs of all of them together. */
export const groupMemory = ({ k, n }: { readonly k: number; readonly n: number }, recipe: Recipe): number =>
  BASE + solving(k, n, takesGram(recipe) ? 1 : 0);

/** Bytes to solve the embedding or the head, range by range. */
export const tableMemory = ({ rows, cols }: Pick<TokenTable, 'rows' | 'cols'>, recipe: Recipe): number =>
  BASE + solving(cols, Math.min(rows, TABLE_STAGE / cols), takesGram(recipe) ? 1 : 0);

/** Bytes to capture statistics of any amount of text, without its activations. */
export function captureMemory(
  source: Pick<Source, 'analysis' | 'model' | 'path'>,
  { fisher }: Pick<Recipe, 'fisher'> = {},
): number {
  const { analysis } = source;
  const per = fisher === undefined ? CAPTURING : WEIGHING;
  const layers = new Map<number, number>();
  for (const { layer, k, n, role } of analysis.projections)
    if (role !== 'head') layers.set(layer, (layers.get(layer) ?? 0) + per * k * n);
  // Mapped, and with enough text touched from end to end: 705 MB of Gemma 3 270M, whose peak was 877 MB.
  const embedding = analysis.embedding?.weight.tensor.byteLength ?? 0;
  // A model that makes the vectors of tokens stays open beside the segments.
  const beside = embeddingOf(source);
  const vectors = beside === undefined ? 0 : fileSizesOf(beside).fileBytes;
  const heads = analysis.projections.filter(({ role }) => role === 'head').map(({ k, n }) => WEIGHING * k * n + LOGITS);
  return BASE + vectors + Math.max(embedding, ...layers.values(), ...(fisher === undefined ? [] : heads));
}

/** Error code `memory-bound`, with the least that works, when the worst moment takes more than `memoryBytes`. */
export function requireMemory(source: Source, recipe: Recipe, memoryBytes: number): void {
  const need = peakMemory(source, recipe);
  if (need <= memoryBytes) return;
  fail(
    'memory-bound',
    source.path,
    `The work needs ${wholeMegabytes(need)}, but \`memoryBytes\` is ${wholeMegabytes(memoryBytes)}`,
  );
}

/** Bytes that statistics may take beside the work, and activations again as many. */
export const spareMemory = (source: Source, recipe: Recipe, memoryBytes: number): number =>
  Math.max(0, memoryBytes - peakMemory(source, recipe)) / 2;

/** Projections of one input: they share a Gram matrix. */
function groupsOf(projections: readonly Projection[]): readonly { readonly k: number; readonly n: number }[] {
  const groups = new Map<string, { k: number; n: number }>();
  for (const { group, k, n } of projections) groups.set(group, { k, n: (groups.get(group)?.n ?? 0) + n });
  return [...groups.values()];
}

/**
 * Weights twice in float32, their codes and those that are written; a Gram matrix as it was read, its copies and its factor; and
 * the scratch of two threads.
 */
const solving = (k: number, n: number, gram: number): number =>
  13 * k * n + gram * (8 * k ** 2 + 16 * Math.min(k, MOST_COLS) ** 2 + 2 * Math.min(64e6, 16 * k ** 2));

/** Bytes of a weight in a session: as it is stored and as the products want it. */
const CAPTURING = 8;
/** There and back, and the gradients of a batch beside them. */
const WEIGHING = 16;
/** Logits of some rows, with what becomes of them. */
const LOGITS = 600e6;
