/** The data-free method against the bounds it was accepted with, as shipped (int8 activations), on stories it never saw. */
import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from '@jest/globals';
import { compile } from '../../src/compile/compile.js';
import { evaluate } from '../../src/evaluate/evaluate-files.js';
import { silentContext } from '../../src/log.js';
import { parseRecipe } from '../../src/recipe/recipe.js';
import { temporaryFolder } from '../support/paths.js';
import { heldWindows, mistral, writeIds } from '../support/stories.js';

/** KL to float in nats on 16 held stories (all 84 give .000297, .00113, .0168, .0733, .347). */
const BOUNDS = { 8: 0.0003, 6: 0.0012, 4: 0.019, 3: 0.08, 2: 0.37 } as const;

it('keeps within its bounds at every precision', async () => {
  const folder = temporaryFolder();
  const ids = writeIds(join(folder, 'held.jsonl'), heldWindows(16));
  const recipe = parseRecipe({ method: 'data-free', block: 32 }, 'test');
  const machine = { threads: 2, memoryBytes: 2e9 };
  const output = join(folder, 'out');
  await compile(
    { model: mistral, output, recipe, seed: 0, standalone: false, strict: false, ...machine },
    silentContext(),
  );
  const candidates = Object.keys(BOUNDS).map((bits) => join(output, `model_int${bits}.onnx`));
  const scored = { reference: mistral, candidates, text: { ids }, window: 512, speed: false, ...machine };
  const result = await evaluate(scored, silentContext());
  const over = Object.entries(BOUNDS).filter(([, bound], at) => !((result.candidates[at]?.kl ?? 1) <= bound));
  expect(over).toEqual([]);
  rmSync(folder, { recursive: true });
});
