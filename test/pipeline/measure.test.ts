/** Statistics that take more than their share of the memory are files for the time of a compilation. */
import { mkdirSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from '@jest/globals';
import { silentContext } from '../../src/log.js';
import { compile } from '../../src/pipeline/compile.js';
import { type MeasureOptions, measure } from '../../src/pipeline/measure.js';
import { parseRecipe } from '../../src/pipeline/recipe.js';
import { openSource } from '../../src/pipeline/source.js';
import { temporaryFolder } from '../support/paths.js';
import { heldWindows, mistral, writeIds } from '../support/stories.js';

const root = temporaryFolder();
const temporary = join(root, 'temporary');
afterAll(() => rmSync(root, { recursive: true }));

mkdirSync(temporary);
const ids = writeIds(join(root, 'ids.jsonl'), heldWindows(4));
const recipe = parseRecipe({ method: 'best', block: 64, bits: [8, 2], rounds: 0, sweeps: 0 }, 'test');
const shared = { recipe, text: { ids }, threads: 1, seed: 0 };
/** The Gram matrices of the fixture take 2.6 MB. */
const TIGHT = 4e6;

describe('statistics without a work folder', () => {
  it('are files when they are large, until they are closed', async () => {
    const options: MeasureOptions = { ...shared, memoryBytes: TIGHT, workDir: temporary };
    const { statistics, close } = await measure(openSource(mistral, recipe), options, silentContext());
    expect(readdirSync(temporary)).toEqual([expect.stringMatching(/^matquant-statistics-/)]);
    expect(statistics?.groups.length).toBe(4);
    close();
    expect(readdirSync(temporary)).toEqual([]);
  });

  it('give the same set wherever they are', async () => {
    const made = async (name: string, memoryBytes: number): Promise<Buffer> => {
      const output = join(root, name);
      const rest = { name: 'm', standalone: false, strict: false, memoryBytes };
      await compile({ ...shared, ...rest, model: mistral, output }, silentContext());
      return readFileSync(join(output, 'm.data'));
    };
    expect(await made('files', TIGHT)).toEqual(await made('memory', 2e9));
  });
});
