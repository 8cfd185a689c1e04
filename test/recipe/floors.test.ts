/** Bits of attention, embedding and head per precision of the set. */
import { describe, expect, it } from '@jest/globals';
import { attentionBitsAt, attentionChain, frequentReads, tableReads } from '../../src/recipe/floors.js';
import { lambdaOf, parseRecipe, type RecipeInput } from '../../src/recipe/recipe.js';

const set: RecipeInput = { bits: [8, 4, 3, 2], scope: 'ffn+attention' };
const parsed = (more: RecipeInput): ReturnType<typeof parseRecipe> => parseRecipe({ ...set, ...more });
const refused = (more: RecipeInput, message: string): unknown =>
  expect(() => parsed(more)).toThrow(
    expect.objectContaining({ code: 'recipe', message: expect.stringContaining(message) }),
  );

describe('attentionBits', () => {
  it('is one lowest precision, which the set may not reach', () => {
    const at = (bits: number): number => attentionBitsAt(parsed({ attentionBits: 4 }), bits);
    expect([2, 3, 4, 8].map(at)).toEqual([4, 4, 4, 8]);
    expect(attentionChain(parsed({ attentionBits: 4 }))).toBeUndefined();
    expect(attentionBitsAt(parseRecipe({ bits: [2], attentionBits: 4 }), 2)).toBe(2);
  });

  it('is bits per precision, and the own bits of those that are not named', () => {
    const recipe = parseRecipe({ ...set, bits: [8, 4, 2], attentionBits: { 2: 3 } });
    expect([2, 4, 8].map((bits) => attentionBitsAt(recipe, bits))).toEqual([3, 4, 8]);
    expect(attentionChain(recipe)).toEqual([3, 4, 8]);
  });

  it('gives bits that no model has as a whole the default weight in the objective', () => {
    const recipe = parseRecipe({ bits: [8, 4, 2], attentionBits: { 2: 3 }, lambda: { 8: 9, 4: 2, 2: 1 } });
    expect(lambdaOf(recipe, [3, 4, 8])).toEqual({ 8: 9, 4: 2, 2: 1, 3: 2.2 });
  });

  it('refuses bits below the own precision, and another choice than mixes would make', () => {
    refused({ attentionBits: { 4: 3 } }, 'int4 attention of 3 bits, which is below');
    refused({ attentionBits: { 2: 3, 3: 4 } }, 'other models of the set have 3');
  });
});

describe('embeddingBits', () => {
  it('nests the tables with bits per precision, which may be fewer than the own ones', () => {
    expect(tableReads(parsed({ embeddingBits: { 2: 3, 8: 6 } }))).toEqual({ 2: 3, 3: 3, 4: 4, 8: 6 });
    expect(tableReads(parsed({ embeddingBits: 4 }))).toBeUndefined();
  });

  it('gives rows of frequent ids bits of their own', () => {
    const recipe = parsed({ embeddingBits: { 2: 3 }, frequentIds: { bits: { 2: 4, 3: 4 } } });
    expect(recipe.frequentIds?.share).toBe(0.125);
    expect(frequentReads(recipe)).toEqual({ 2: 4, 3: 4, 4: 4, 8: 8 });
  });

  it('refuses tables that fall as the precision rises, and frequent ids of tables that are not nested', () => {
    refused({ embeddingBits: { 2: 4, 3: 3 } }, 'embeddingBits gives int3 a table of 3 bits');
    refused({ embeddingBits: {}, frequentIds: { bits: { 4: 8, 8: 7 } } }, 'frequentIds gives int8 a table of 7 bits');
    refused({ embeddingBits: 4, frequentIds: { bits: {} } }, 'needs a nested embedding');
  });
});
