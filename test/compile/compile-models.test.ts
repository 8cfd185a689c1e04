/** `compile --standalone`: one self-contained model per precision, the same as cut from the set, and nothing of the set left. */
import { readdirSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, expect, it } from '@jest/globals';
import { type CompileResult, compile } from '../../src/compile/compile.js';
import { silentContext } from '../../src/log.js';
import { parseRecipe } from '../../src/recipe/recipe.js';
import { slice } from '../../src/set/slice.js';
import { temporaryFolder } from '../support/paths.js';
import { mistral } from '../support/stories.js';

const root = temporaryFolder();
afterAll(() => rmSync(root, { recursive: true }));
const recipe = parseRecipe({ method: 'data-free', block: 64, bits: [8, 3, 2] }, 'test');

const compiled = (name: string, standalone: boolean): Promise<CompileResult> =>
  compile(
    {
      model: mistral,
      output: join(root, name),
      name: 'm',
      recipe,
      threads: 1,
      memoryBytes: 2e9,
      seed: 0,
      standalone,
      strict: false,
    },
    silentContext(),
  );

it('writes models instead of a set', async () => {
  await compiled('set', false);
  const { files, precisions } = await compiled('models', true);
  const names = [2, 3, 8].flatMap((bits) => [`m_int${bits}.onnx`, `m_int${bits}.onnx_data`]);
  expect(readdirSync(join(root, 'models')).sort()).toEqual(['m.report.json', ...names]);
  expect(files.map(({ path }) => path).sort()).toEqual(
    ['m.report.json', ...names].map((name) => join(root, 'models', name)),
  );
  for (const { bits, bytes, probe } of precisions) {
    const output = join(root, `cut_int${bits}`, `m_int${bits}.onnx`);
    await slice({ set: join(root, 'set', 'm.json'), bits, output, standalone: true, slice: 'prefix' }, silentContext());
    const [cut, made] = [output, join(root, 'models', `m_int${bits}.onnx`)].map((path) => [
      readFileSync(path),
      readFileSync(`${path}_data`),
    ]);
    expect(made).toEqual(cut);
    expect(bytes).toBe(made?.reduce((sum, { length }) => sum + length, 0));
    expect(probe?.kl).toBeLessThan(2);
  }
});
