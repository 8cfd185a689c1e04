/** Files of reusable results that were damaged between two runs: the result is the right one, and the damage is said. */
import { cpSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it, jest } from '@jest/globals';
import { compile } from '../../src/compile/compile.js';
import { type Context, silentContext } from '../../src/log.js';
import { parseRecipe, type Recipe } from '../../src/recipe/recipe.js';
import { captureStatistics } from '../../src/solve/capture-statistics.js';
import { COMPILE } from '../support/compile.js';
import { DAMAGES, damage, filesBelow } from '../support/damage.js';
import { temporaryFolder } from '../support/paths.js';
import { dataIn } from '../support/set-files.js';
import { heldWindows, mistral, writeIds } from '../support/stories.js';

const root = temporaryFolder();
const ids = join(root, 'ids.jsonl');
afterAll(() => rmSync(root, { recursive: true }));
beforeAll(() => {
  writeIds(
    ids,
    heldWindows(8).map((window) => window.slice(0, 64)),
  );
});

const BASE = { block: 64, bits: [8, 2], tokens: 512, window: 64 };
const RECIPES: Record<string, { readonly recipe: Recipe; readonly files: RegExp }> = {
  solved: {
    recipe: parseRecipe({ ...BASE, method: 'gptq' }, 'test'),
    files: /solved.*layers\.0|\.solved$|statistics\/.*\.safetensors$|statistics\.json$/,
  },
  trained: {
    recipe: parseRecipe({ ...BASE, method: 'matquant', train: { steps: 2 } }, 'test'),
    files: /\.learned$/,
  },
  distilled: {
    recipe: parseRecipe({ ...BASE, tokens: 256, method: 'gptq', distill: { steps: 2, kept: 2, bits: [2] } }, 'test'),
    files: /\.state$|\.hidden$/,
  },
};

const run = async (name: string, folder: string): Promise<{ data: Buffer; said: readonly string[] }> => {
  const said: string[] = [];
  const context: Context = { ...silentContext(), log: { info: () => undefined, warn: (text) => said.push(text) } };
  const recipe = RECIPES[name]?.recipe as Recipe;
  const output = join(folder, 'set');
  await compile({ ...COMPILE, model: mistral, output, recipe, text: { ids }, work: join(folder, 'work') }, context);
  return { data: readFileSync(dataIn(output)), said: said.filter((text) => text.includes('damaged-file')) };
};

jest.setTimeout(300_000);

describe.each(Object.keys(RECIPES))('%s results', (name) => {
  it('that are damaged are made again to the same bytes, and that is said', async () => {
    const first = await run(name, join(root, name));
    const work = join(root, name, 'work');
    const kinds = new Map(
      filesBelow(work, RECIPES[name]?.files as RegExp).map((path) => [/[^.]+$/.exec(path)?.[0], path]),
    );
    expect(kinds.size).toBeGreaterThan(0);
    for (const path of kinds.values()) {
      for (const how of ['a bit in the middle', 'nothing']) {
        const folder = join(root, 'again');
        rmSync(folder, { recursive: true, force: true });
        mkdirSync(folder);
        cpSync(work, join(folder, 'work'), { recursive: true });
        damage(join(folder, 'work', path.slice(work.length)), how);
        const again = await run(name, folder);
        expect({ path, how, said: again.said.length, same: again.data.equals(first.data) }).toEqual({
          path,
          how,
          said: 1,
          same: true,
        });
      }
    }
  });
});

describe('statistics that the user gives', () => {
  it('are refused when any of their files is damaged', async () => {
    const recipe = RECIPES['solved']?.recipe as Recipe;
    const statistics = join(root, 'statistics');
    const options = { ...COMPILE, model: mistral, recipe };
    const { threads, memoryBytes, seed } = COMPILE;
    const machine = { threads, memoryBytes, seed };
    await captureStatistics({ ...machine, model: mistral, recipe, output: statistics, text: { ids } }, silentContext());
    for (const path of filesBelow(statistics, /./).slice(-3)) {
      const whole = readFileSync(path);
      for (const how of Object.keys(DAMAGES)) {
        damage(path, how);
        const compiled = compile({ ...options, output: join(root, 'none'), statistics: [statistics] }, silentContext());
        await expect(compiled).rejects.toMatchObject({ code: 'damaged-file', at: path });
      }
      writeFileSync(path, whole);
    }
  });
});

describe('a work folder that cannot be used', () => {
  it('is refused at once', async () => {
    const file = join(root, 'file');
    writeFileSync(file, 'x');
    const recipe = RECIPES['solved']?.recipe as Recipe;
    for (const work of [file, join(file, 'below')]) {
      const compiled = compile(
        { ...COMPILE, model: mistral, output: join(root, 'none'), recipe, text: { ids }, work },
        silentContext(),
      );
      await expect(compiled).rejects.toMatchObject({
        code: work === file ? 'output-exists' : 'work-folder',
        at: work,
      });
    }
  });
});
