/** Which bits the rest of a model gets, so that the smallest model of the set fits a size. */
import { statSync } from 'node:fs';
import { annotated } from '../../passes/drop-notes.js';
import { FFN_ROLES } from '../analysis/projection.js';
import { fail } from '../diagnostics.js';
import type { Model } from '../onnx/ir/graph.js';
import {
  type Bits,
  type BitsByPrecision,
  frequentReads,
  nestsTables,
  type Recipe,
  tableReads,
} from '../recipe/index.js';
import { originOf } from '../set/index.js';
import { reopenSource, type Source } from '../source/index.js';
import { compiledBudget, constantsOf, totalOf } from './budget.js';

/** A recipe with the source opened for it. */
export interface Fitted {
  readonly recipe: Recipe;
  readonly source: Source;
}

/** Attention of fewer bits costs more than it saves: at 2 bits it doubles the damage. */
const LEAST_ATTENTION = 4;

/**
 * Of the ways to store attention, embedding, head and floats, the one that harms least among those whose smallest model takes at
 * most `target` bytes, its graph included. The harm of r-bit codes goes by their squared error, 4^-r for each weight.
 */
export function fitRest(source: Source, recipe: Recipe, target: number | undefined): Fitted {
  if (target === undefined) return { recipe, source };
  const lowest = Math.min(...recipe.bits) as Recipe['bits'][number];
  const fitted = candidates(recipe).map((candidate) => {
    const opened = reopenSource(source, candidate);
    return {
      recipe: candidate,
      source: opened,
      bytes: totalOf(compiledBudget(opened, candidate, lowest)) + graphBytes(opened, candidate),
      harm: harmOf(opened, candidate),
    };
  });
  const best = fitted.filter(({ bytes }) => bytes <= target).sort((a, b) => a.harm - b.harm)[0];
  if (best !== undefined) return best;
  const least = Math.min(...fitted.map(({ bytes }) => bytes));
  return fail(
    'bad-usage',
    'targetBytes',
    `The int${lowest} model needs at least ${inMegabytes(least)}, more than ${inMegabytes(target)}`,
  );
}

const inMegabytes = (bytes: number): string => `${Number((bytes / 1e6).toPrecision(4))} MB`;

/** The recipe as it is, and what can be made of it. */
function candidates(recipe: Recipe): readonly Recipe[] {
  if (nestsTables(recipe)) return [recipe, ...nestedCandidates(recipe)];
  const attention = recipe.bits.filter((bits) => bits >= LEAST_ATTENTION);
  const small: Recipe = { ...recipe, floatStorage: 'float16', shareTiedHead: true, notes: 'drop' };
  const tables = ([16, 8, 4] as const).map((embeddingBits): Recipe => ({ ...small, embeddingBits }));
  return [
    recipe,
    ...tables.map((each): Recipe => ({ ...each, scope: 'ffn' })),
    ...tables.flatMap((each) =>
      (attention.length === 0 ? [Math.max(...recipe.bits)] : attention).map((attentionBits): Recipe => {
        return { ...each, scope: 'ffn+attention', attentionBits };
      }),
    ),
  ];
}

/** Bits that the smallest model may have for parts that have bits of their own in each model. */
const LOWEST: readonly Bits[] = [8, 6, 4, 3, 2];

/** Lowest bits for embedding, head and attention of a set that nests them. Larger models have at least these. */
function nestedCandidates(recipe: Recipe): readonly Recipe[] {
  const lowest = LOWEST.filter((bits) => bits >= Math.min(...recipe.bits));
  return lowest.flatMap((table) =>
    lowest.map((attention): Recipe => {
      const { frequentIds } = recipe;
      const frequent = frequentIds && { ...frequentIds, bits: raised(frequentReads(recipe) ?? {}, table) };
      return {
        ...recipe,
        embeddingBits: raised(tableReads(recipe) ?? {}, table, Math.min(...recipe.bits)),
        frequentIds: frequent,
        attentionBits: Object.fromEntries(recipe.bits.map((bits) => [bits, Math.max(bits, attention) as Bits])),
      };
    }),
  );
}

/** Bits by precision, none below `least`; those of `set` are `least` itself. */
const raised = (reads: BitsByPrecision, least: Bits, set?: number): BitsByPrecision =>
  Object.fromEntries(
    Object.entries(reads).map(([bits, own]) => [bits, Number(bits) === set ? least : (Math.max(own, least) as Bits)]),
  );

/** Nodes, names and places that a projection adds to a graph: 3 to 6 KB, most where many planes are joined. */
const PROJECTION_NODES = 6144;

/** About the bytes of an emitted graph: what the source's file holds beside weights, and what projections add. */
function graphBytes(source: Source, { notes }: Recipe): number {
  const inline = [...constantsOf(source).keys()].filter((tensor) => originOf(tensor) === undefined);
  const weights = inline.reduce((sum, { byteLength }) => sum + byteLength, 0);
  const dropped = notes === 'drop' ? notesBytes(source.model) : 0;
  return Math.max(0, statSync(source.path).size - weights - dropped) + source.chosen.length * PROJECTION_NODES;
}

function notesBytes(model: Model): number {
  let sum = 0;
  for (const { metadata } of annotated(model))
    for (const [key, value] of metadata) sum += key.length + value.length + 8;
  return sum;
}

/** Squared error of a float16 value relative to its own, beside that of codes. */
const HALF_BITS = 11;

/** Bits of the embedding and the head in the smallest model, as floats count. */
function tableBitsOf(recipe: Recipe): number {
  const { embeddingBits } = recipe;
  if (embeddingBits === 'keep') return 2 * HALF_BITS;
  if (typeof embeddingBits === 'number') return Math.min(embeddingBits, HALF_BITS);
  return Math.min(...Object.values(tableReads(recipe) ?? {}));
}

function harmOf({ analysis, chosen }: Source, recipe: Recipe): number {
  const { embedding } = analysis;
  const tableBits = tableBitsOf(recipe);
  const tables = (embedding?.vocabulary ?? 0) * (embedding?.hidden ?? 0) * 4 ** -tableBits;
  const attention = chosen.filter(({ projection }) => !FFN_ROLES.has(projection.role));
  return attention.reduce((sum, { projection: { k, n }, floor }) => sum + k * n * 4 ** -floor, tables);
}
