/** Precisions that attention has in each model of a set. */
import { z } from 'zod';
import { fail } from '../diagnostics.js';
import { type Bits, bitsSchema } from './fields.js';

/** Bits by precision of the set, as `{"2": 3, "4": 4}`. A precision that is not named has its own bits. */
export type BitsByPrecision = Readonly<Record<string, Bits>>;

export const bitsByPrecisionSchema: z.ZodType<BitsByPrecision> = z.record(z.string().regex(/^[2-8]$/), bitsSchema);

/** What decides the bits of attention. */
export interface AttentionFloors {
  readonly bits: readonly Bits[];
  readonly attentionBits: number | BitsByPrecision;
}

/** The bits of attention in the model of `bits`. */
export function attentionBitsAt({ bits: set, attentionBits: asked }: AttentionFloors, bits: number): Bits {
  if (typeof asked === 'object') return asked[bits] ?? (bits as Bits);
  return Math.min(Math.max(bits, asked), Math.max(...set)) as Bits;
}

/** All bits that attention has in some model, smallest first; undefined where one lowest precision says it. */
export function attentionChain(recipe: AttentionFloors): readonly Bits[] | undefined {
  if (typeof recipe.attentionBits !== 'object') return undefined;
  return chainOf(recipe.bits, (bits) => attentionBitsAt(recipe, bits));
}

/** Rows of the embedding and the head that have more bits: those of the most frequent ids of the text. */
export interface FrequentIds {
  /** Of all ids. */
  readonly share: number;
  readonly bits: BitsByPrecision;
}

export const frequentIdsSchema: z.ZodType<FrequentIds> = z.strictObject({
  share: z.number().positive().max(0.5).default(0.125).describe('Share of the vocabulary.'),
  bits: bitsByPrecisionSchema.describe('Bits of their rows by precision, in the form of embeddingBits.'),
});

/** What decides the bits of the embedding and the head. */
export interface TableFloors {
  readonly bits: readonly Bits[];
  readonly embeddingBits: 'keep' | 16 | 8 | 4 | 2 | BitsByPrecision;
  readonly frequentIds?: FrequentIds | undefined;
}

/** Whether the embedding and the head are nested like projections. */
export const nestsTables = ({ embeddingBits }: Pick<TableFloors, 'embeddingBits'>): boolean =>
  typeof embeddingBits === 'object';

/** Bits of a nested embedding and head by precision of the set; undefined where they are not nested. */
export function tableReads({ bits: set, embeddingBits }: TableFloors): BitsByPrecision | undefined {
  return typeof embeddingBits === 'object' ? readsOf(set, embeddingBits) : undefined;
}

/** The same of rows of frequent ids. */
export const frequentReads = ({ bits: set, frequentIds }: TableFloors): BitsByPrecision | undefined =>
  frequentIds && readsOf(set, frequentIds.bits);

const readsOf = (set: readonly Bits[], asked: BitsByPrecision): BitsByPrecision =>
  Object.fromEntries(set.map((bits) => [bits, asked[bits] ?? bits]));

/** The bits that models of these precisions have, each once, smallest first. */
export const chainOf = (set: readonly Bits[], at: (bits: Bits) => Bits): readonly Bits[] =>
  [...new Set(set.map(at))].sort((a, b) => a - b);

/**
 * Fails with `recipe` unless every model takes the smallest bits of the chain that are not below its own: mixes choose by that
 * rule too.
 */
export function requireFloors(recipe: AttentionFloors & TableFloors, at: string): void {
  requireRising(recipe, at);
  const chain = attentionChain(recipe);
  if (chain === undefined) return;
  for (const bits of recipe.bits) {
    const own = attentionBitsAt(recipe, bits);
    const next = chain.find((each) => each >= bits);
    if (own === next) continue;
    fail(
      'recipe',
      at,
      own < bits
        ? `attentionBits gives int${bits} attention of ${own} bits, which is below its own precision`
        : `attentionBits gives int${bits} attention of ${own} bits, but other models of the set have ${next}: take that`,
    );
  }
}

/** A smaller model is a prefix of a larger one, so its embedding cannot have more bits. */
function requireRising(recipe: TableFloors, at: string): void {
  if (recipe.frequentIds !== undefined && !nestsTables(recipe))
    fail('recipe', at, 'frequentIds needs a nested embedding: give embeddingBits as bits per precision');
  for (const [field, all = {}] of [
    ['embeddingBits', tableReads(recipe)],
    ['frequentIds', frequentReads(recipe)],
  ] as const) {
    const reads = recipe.bits.toSorted((a, b) => a - b).map((bits) => ({ bits, own: all[bits] ?? bits }));
    const falls = reads.find(({ own }, i) => i > 0 && own < (reads[i - 1]?.own ?? 0));
    if (falls !== undefined)
      fail(
        'recipe',
        at,
        `${field} gives int${falls.bits} a table of ${falls.own} bits, fewer than a smaller model has`,
      );
  }
}
