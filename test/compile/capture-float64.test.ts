/** A set whose statistics are captured in float64: the field of the recipe reaches them, and the manifest names kernels and runtime. */
import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, expect, it } from '@jest/globals';
import { compile } from '../../src/compile/compile.js';
import { differenceOf } from '../../src/evaluate/same/same-set.js';
import { silentContext } from '../../src/log.js';
import { parseRecipe } from '../../src/recipe/recipe.js';
import { kernelFacts } from '../../src/runtime/kernels.js';
import { openSetOf } from '../../src/set/facts.js';
import { COMPILE } from '../support/compile.js';
import { fixture, temporaryFolder } from '../support/paths.js';
import { mistral } from '../support/stories.js';

const root = temporaryFolder();
afterAll(() => rmSync(root, { recursive: true }));

const text = {
  files: [fixture('text/stories-calibration.txt')],
  tokenizer: fixture('models/mistral-656k/tokenizer.json'),
  jsonlField: 'text',
  bos: 'auto',
} as const;

async function compiled(name: string, capture: 'keep' | 'float64'): Promise<string> {
  const recipe = parseRecipe(
    { preset: 'fast', capture, bits: [8, 2], block: 32, tokens: 256, fillText: false },
    'test',
  );
  const output = join(root, name);
  await compile({ ...COMPILE, model: mistral, output, recipe, text }, silentContext());
  return output;
}

it('differs from the same recipe in float32 by rounding only, and the manifest says where it was compiled', async () => {
  const [wide, plain] = [await compiled('wide', 'float64'), await compiled('plain', 'keep')];
  const { notes, codes, precisions } = differenceOf(wide, plain);
  expect(notes[0]).toBe('The recipes differ in capture.');
  expect(codes).toBeGreaterThan(0);
  // Measured: .5 % of the int8 codes.
  expect(precisions.map((each) => each.codes / each.weights < 0.1)).toEqual([true, true]);
  const facts = await kernelFacts();
  expect(facts).toMatchObject({
    processor: { architecture: process.arch, kernels: expect.stringMatching(/^[0-9a-f]{12}$/) },
    runtime: expect.stringMatching(/^onnxruntime-node \d/),
  });
  expect(openSetOf(wide).manifest.provenance).toMatchObject(facts);
});
