/** Weights of the precisions compared on text that is kept back. */
import { mkdirSync, readdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { type LambdaSearchResult, searchLambda } from '../../src/compile/lambda-search.js';
import { silentContext } from '../../src/log.js';
import { parseRecipe, presetOf } from '../../src/recipe/recipe.js';
import { temporaryFolder } from '../support/paths.js';
import { heldWindows, mistral, writeIds } from '../support/stories.js';

describe('the search for weights', () => {
  let root: string;
  let result: LambdaSearchResult;
  beforeAll(async () => {
    root = temporaryFolder();
    mkdirSync(join(root, 'work'));
    const ids = writeIds(join(root, 'ids.jsonl'), heldWindows(12));
    const train = { steps: 15, batch: 256, rates: { clip: 0.2 } };
    const recipe = { ...presetOf('paper-matquant-gemma'), block: 32, train, window: 256 } as const;
    const candidates = [
      { 8: 0, 4: 0, 2: 1 },
      { 8: 9, 4: 3, 2: 1 },
    ];
    const machine = { threads: 2, memoryBytes: 2e9, seed: 0, work: join(root, 'work') };
    const options = { model: mistral, recipe: parseRecipe(recipe, 'test'), candidates, text: { ids }, kept: 4 };
    result = await searchLambda({ ...options, ...machine }, silentContext());
  });
  afterAll(() => rmSync(root, { recursive: true }));

  it('scores every candidate at every precision on the windows behind the others', () => {
    expect(result).toMatchObject({ windows: 8, kept: 4 });
    const positions = heldWindows(12)
      .slice(8)
      .reduce((sum, { length }) => sum + length - 1, 0);
    expect(result.positions).toBe(positions);
    const [alone, level] = result.rows;
    expect(level?.kl[8]).toBeLessThan(0.7 * (alone?.kl[8] ?? 0));
    expect(level?.kl[2]).toBeGreaterThan(level?.kl[4] ?? 1);
  });

  it('names the smallest sum, and the candidates that nothing beats', () => {
    const sums = result.rows.map(({ kl }) => (kl[8] ?? 0) + (kl[4] ?? 0) + (kl[2] ?? 0));
    result.rows.forEach(({ sum }, at) => {
      expect(sum).toBeCloseTo(sums[at] ?? 0, 12);
    });
    expect(result.best).toEqual(result.rows[sums.indexOf(Math.min(...sums))]?.lambda);
    expect(result.rows.some(({ isFront }) => isFront)).toBe(true);
  });

  it('leaves nothing but what it may reuse', () => {
    expect(readdirSync(root).sort()).toEqual(['ids.jsonl', 'work']);
  });
});
