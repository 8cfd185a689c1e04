/** A trained mixture of experts: statistics are those of the rows that routing chose, and solving pays. */
import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, expect, it } from '@jest/globals';
import { openStatistics } from '../../src/capture/statistics-files.js';
import { type CompileResult, compile } from '../../src/compile/compile.js';
import { evaluate } from '../../src/evaluate/evaluate-files.js';
import { silentContext } from '../../src/log.js';
import { parseRecipe } from '../../src/recipe/recipe.js';
import { captureStatistics } from '../../src/solve/capture-statistics.js';
import { COMPILE } from '../support/compile.js';
import { fixture, temporaryFolder } from '../support/paths.js';
import { heldWindows, writeIds } from '../support/stories.js';

const model = fixture('models/mixtral-tiny/model.onnx');
const root = temporaryFolder();
afterAll(() => rmSync(root, { recursive: true }));
const windows = heldWindows(60);
const text = { ids: writeIds(join(root, 'text.jsonl'), windows.slice(0, 48)) };
const held = { ids: writeIds(join(root, 'held.jsonl'), windows.slice(48)) };

it('has rows by expert, two for each token, of which the last expert of the last layer gets few', async () => {
  const output = join(root, 'statistics');
  const recipe = parseRecipe({ method: 'best', window: 256, tokens: 4096 }, 'test');
  const { tokens } = await captureStatistics({ model, output, text, recipe, threads: 1 }, silentContext());
  const statistics = await openStatistics(output);
  const rows = async (layer: number): Promise<readonly number[]> =>
    Promise.all(
      ['ffn-in', 'ffn-in.2', 'ffn-in.3', 'ffn-in.4'].map(async (name) => {
        return (await statistics.load(`layers.${layer}.${name}`)).tokens;
      }),
    );
  for (const layer of [0, 1]) expect((await rows(layer)).reduce((sum, each) => sum + each)).toBe(2 * tokens);
  const [most = 0, ...others] = (await rows(1)).toSorted((a, b) => b - a);
  expect(others.at(-1)).toBeLessThan(most / 3);
  expect((await statistics.load('layers.1.down-in.4')).tokens).toBe(others.at(-1));
});

it('is solved to less divergence than it is rounded to', async () => {
  const made = async (method: 'best' | 'rtn'): Promise<CompileResult> => {
    const recipe = {
      method,
      bits: [8, 2],
      block: 32,
      window: 256,
      tokens: 8192,
      ...(method === 'rtn' && { decode: 'tied' }),
    };
    const given = method === 'best' ? { text } : {};
    const output = join(root, method);
    return compile({ ...COMPILE, model, output, recipe: parseRecipe(recipe, 'test'), ...given }, silentContext());
  };
  expect((await made('best')).quantized).toBe(24);
  await made('rtn');
  const candidates = ['best', 'rtn'].map((method) => join(root, method, 'm_int2.onnx'));
  const options = { reference: model, candidates, text: held, window: 256, windows: 12, speed: false };
  const scored = await evaluate({ ...options, threads: 1, memoryBytes: 2e9 }, silentContext());
  const [best, rounded] = scored.candidates.map(({ kl }) => kl) as [number, number];
  // .25 and .41 nats with 32,768 tokens of text.
  expect(best).toBeLessThan(0.8 * rounded);
});
