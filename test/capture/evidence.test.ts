/** How far a text goes: counts, what a width needs, and the weight that follows. */
import { describe, expect, it } from '@jest/globals';
import { blendStatistics } from '../../src/capture/blended-statistics.js';
import { countText, isEnough, needOf, textWeight } from '../../src/capture/evidence.js';
import { type GroupStatistics, headerOf, hessianOf, meanOf, statisticsInMemory } from '../../src/capture/statistics.js';

const ids = (...values: number[]): Int32Array => Int32Array.from(values);
/** As many windows of the same ids. */
const repeated = (window: Int32Array, times: number): readonly Int32Array[] =>
  Array.from({ length: times }, () => window);

describe('countText', () => {
  it('counts ids with the two before them, within windows', () => {
    expect(countText([ids(1, 2, 3, 1, 2, 3)])).toEqual({ contexts: 5, ids: 3 });
    expect(countText([ids(1, 2, 3), ids(1, 2, 4)])).toEqual({ contexts: 4, ids: 4 });
    expect(countText([])).toEqual({ contexts: 0, ids: 0 });
  });

  it('counts what is repeated once', () => {
    const once = countText([ids(5, 6, 7, 8)]);
    expect(countText(repeated(ids(5, 6, 7, 8), 1000))).toEqual(once);
    expect(countText([new Int32Array(10_000).fill(3)])).toEqual({ contexts: 3, ids: 1 });
  });
});

describe('textWeight', () => {
  it('rises with the text and is exactly 1 from what is needed on', () => {
    const vocabulary = 2048;
    const need = needOf(384, vocabulary);
    expect(need).toEqual({ contexts: 3072, ids: 512 });
    expect(textWeight(need, 384, vocabulary)).toBe(1);
    const weights = [1, 20, 500, 3071].map((contexts) => textWeight({ contexts, ids: 1000 }, 384, vocabulary));
    expect(weights).toEqual([...weights].sort((a, b) => a - b));
    expect(weights[0]).toBeLessThan(0.001);
    expect(weights[3]).toBeLessThan(0.7);
  });

  it('does not depend on the scale: the same share of a wider input weighs the same', () => {
    const weightOf = (k: number): number => textWeight({ contexts: 2 * k, ids: 20 * k }, k, 1_000_000);
    expect(weightOf(20_480)).toBeCloseTo(weightOf(2560), 12);
  });

  it('does not take many contexts of few ids for text, unless the vocabulary has no more', () => {
    const characters = { contexts: 40_000, ids: 100 };
    expect(isEnough(characters, 384, 32_000)).toBe(false);
    expect(textWeight(characters, 384, 32_000)).toBeLessThan(0.1);
    // Random ASCII under the vocabulary of TinyStories, and natural text that has as many ids.
    expect(textWeight({ contexts: 27_644, ids: 308 }, 384, 2048)).toBeLessThan(0.02);
    expect(textWeight({ contexts: 481, ids: 286 }, 384, 2048)).toBeCloseTo(0.172, 3);
    expect(isEnough(characters, 384, 256)).toBe(true);
    expect(isEnough(characters, 384, 0)).toBe(true);
  });
});

describe('blendStatistics', () => {
  const group = (tokens: number, gram: number[], sum: number[]): GroupStatistics => ({
    group: 'g',
    k: 2,
    tokens,
    gram: Float64Array.from(gram),
    sum: Float64Array.from(sum),
  });
  const made = (text: string, statistics: GroupStatistics): ReturnType<typeof statisticsInMemory> => {
    const header = headerOf({ model: 'm', text, windows: 1, tokens: statistics.tokens, firstWeight: 1 });
    return statisticsInMemory(header, new Map([['g', statistics]]));
  };
  const text = made('a', group(2, [4, 0, 0], [2, 0]));
  const random = made('b', group(100, [100, 50, 300], [10, 20]));

  it('takes nothing from a side that saw no row', async () => {
    const unseen = made('c', group(1, [1, 0, 1], [0, 0]));
    const byRandom = await blendStatistics(unseen, random, () => 0.25).load('g');
    expect([...hessianOf(byRandom)]).toEqual([1, 0.5, 0.5, 3]);
    // The text's own mean square instead of an identity matrix.
    const byText = await blendStatistics(text, unseen, () => 0.25).load('g');
    expect([...hessianOf(byText)]).toEqual([0.25 * 2 + 0.75, 0, 0, 0.75]);
  });

  it('mixes means, however many rows each has', async () => {
    const blend = blendStatistics(text, random, () => 0.25);
    const found = await blend.load('g');
    expect(found.tokens).toBe(2);
    const expected = [0.25 * 2 + 0.75 * 1, 0.75 * 0.5, 0.75 * 0.5, 0.75 * 3];
    for (const [at, value] of hessianOf(found).entries()) expect(value).toBeCloseTo(expected[at] as number, 12);
    expect([...meanOf(found)].map((value) => value.toFixed(3))).toEqual(['0.325', '0.150']);
    expect(blend.header).toMatchObject({ tokens: 2, text: 'a' });
    expect(new Set([blend, text, random].map(({ header }) => header.digest)).size).toBe(3);
  });

  it('hands the text on as it is where its weight is 1', async () => {
    expect(await blendStatistics(text, random, () => 1).load('g')).toBe(await text.load('g'));
  });

  it('takes inputs of one size where there are no random ids', async () => {
    const found = hessianOf(await blendStatistics(text, undefined, () => 0.5).load('g'));
    expect([...found]).toEqual([1.5, 0, 0, 0.5]);
  });
});
