/** Statistics: files for the time of a compilation where they are large, folders that compilations share where asked for. */
import { mkdirSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from '@jest/globals';
import { type CompileResult, compile } from '../../src/compile/compile.js';
import { silentContext } from '../../src/log.js';
import { parseRecipe } from '../../src/recipe/recipe.js';
import { captureStatistics } from '../../src/solve/capture-statistics.js';
import { type MeasureOptions, measure } from '../../src/solve/measure.js';
import { openSource } from '../../src/source/source.js';
import { COMPILE } from '../support/compile.js';
import { temporaryFolder } from '../support/paths.js';
import { dataIn } from '../support/set-files.js';
import { gemma3, heldWindows, mistral, writeIds } from '../support/stories.js';

const root = temporaryFolder();
const temporary = join(root, 'temporary');
afterAll(() => rmSync(root, { recursive: true }));

mkdirSync(temporary);
/** So many that nothing is filled up by random token ids. */
const windows = heldWindows(40);
const ids = writeIds(join(root, 'ids.jsonl'), windows);
const recipe = parseRecipe({ method: 'best', block: 64, bits: [8, 2], rounds: 0, sweeps: 0 }, 'test');
/** The Gram matrices of the fixture take 2.6 MB. */
const TIGHT = 4e6;

describe('statistics without a work folder', () => {
  it('are files when they are large, until they are closed', async () => {
    const machine = { threads: 1, memoryBytes: TIGHT, temporary };
    const options: MeasureOptions = { recipe, text: { ids }, seed: 0, machine };
    const { statistics, close } = await measure(openSource(mistral, recipe), options, silentContext());
    expect(readdirSync(temporary)).toEqual([expect.stringMatching(/^matquant-statistics-/)]);
    expect(statistics?.groups.length).toBe(4);
    close();
    expect(readdirSync(temporary)).toEqual([]);
  });

  it('are the same wherever they are', async () => {
    const source = openSource(mistral, recipe);
    const grams = async (memoryBytes: number): Promise<readonly Float64Array[]> => {
      const options = { recipe, text: { ids }, seed: 0, machine: { threads: 1, memoryBytes } };
      const { statistics, close } = await measure(source, options, silentContext());
      const groups = await Promise.all((statistics?.groups ?? []).map((group) => statistics?.load(group)));
      close();
      return groups.map((group) => group?.gram as Float64Array);
    };
    expect(await grams(TIGHT)).toEqual(await grams(2e9));
  });
});

describe('statistics that were captured before', () => {
  const halves = [0, 20].map((from) => writeIds(join(root, `half${from}.jsonl`), windows.slice(from, from + 20)));
  const machine = { recipe, threads: 2, seed: 0, memoryBytes: 2e9 };
  const captured = async (name: string, more: object, model = mistral): Promise<string> => {
    const output = join(root, name);
    await captureStatistics({ ...machine, model, output, ...more }, silentContext());
    return output;
  };
  const compiled = async (name: string, more: object): Promise<CompileResult & { readonly data: Buffer }> => {
    const output = join(root, name);
    const result = await compile({ ...COMPILE, ...machine, model: mistral, output, ...more }, silentContext());
    return { ...result, data: readFileSync(dataIn(output)) };
  };

  it('give the bytes that the text itself gives', async () => {
    const whole = await captured('whole', { text: { ids } });
    const { data, calibrationTokens } = await compiled('by-statistics', { statistics: [whole] });
    const byText = await compiled('by-text', { text: { ids } });
    expect(data.equals(byText.data)).toBe(true);
    expect(calibrationTokens).toBe(byText.calibrationTokens);
  });

  it('add up: two halves solve to what the whole does, within a thousandth of the error', async () => {
    const parts = await Promise.all(halves.map((half, at) => captured(`part${at}`, { text: { ids: half } })));
    const sum = await captured('sum', { statistics: parts });
    const [inPlace, saved] = [
      await compiled('in-place', { statistics: parts }),
      await compiled('saved', { statistics: [sum] }),
    ];
    const byText = await compiled('by-text', { text: { ids } });
    for (const { projections, calibrationTokens } of [inPlace, saved]) {
      expect(calibrationTokens).toBe(byText.calibrationTokens);
      projections.forEach(({ error }, at) => {
        for (const name of ['int8', 'int2']) {
          const [one, whole] = [error, byText.projections[at]?.error].map((each) => each?.[name]?.after ?? Number.NaN);
          expect(Math.abs((one as number) / (whole as number) - 1)).toBeLessThan(1e-3);
        }
      });
    }
  });

  it('are refused for another model, and where they lack an input', async () => {
    const foreign = await captured('foreign', { text: { ids } }, gemma3);
    await expect(compiled('x', { statistics: [foreign] })).rejects.toMatchObject({ code: 'statistics' });
    const wider = { ...recipe, scope: 'ffn+attention' };
    const narrow = join(root, 'whole');
    await expect(compiled('y', { recipe: wider, statistics: [narrow] })).rejects.toMatchObject({ code: 'statistics' });
    expect(readdirSync(root)).not.toEqual(expect.arrayContaining(['x', 'y']));
  });
});
