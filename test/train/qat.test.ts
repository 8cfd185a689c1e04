/** Weights trained end to end through compile: better slices than those of the plain grid, co-distillation, and resumption. */
import { readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { compile } from '../../src/compile/compile.js';
import { evaluate } from '../../src/evaluate/evaluate-files.js';
import { type Context, silentContext } from '../../src/log.js';
import { parseRecipe, type RecipeInput } from '../../src/recipe/recipe.js';
import type { CompiledDistillation } from '../../src/set/index.js';
import { temporaryFolder } from '../support/paths.js';
import { dataIn } from '../support/set-files.js';
import { heldWindows, mistral, writeIds } from '../support/stories.js';

let root: string;
let ids: string;
let held: string;
beforeAll(() => {
  root = temporaryFolder();
  const windows = heldWindows(40).map((window) => window.slice(0, 64));
  held = writeIds(join(root, 'held.jsonl'), windows.slice(0, 8));
  ids = writeIds(join(root, 'ids.jsonl'), windows.slice(8));
});
afterAll(() => rmSync(root, { recursive: true }));

const LENGTH = { steps: 8, every: 4, kept: 4, batch: 128, warmUp: 2 };
const TIED: RecipeInput = { block: 64, bits: [8, 2], slice: 'paper', decode: 'tied', tokens: 1024, window: 64 };
const QAT: RecipeInput = { ...TIED, method: 'qat', lambda: { 8: 0.1, 2: 1 }, qat: LENGTH };

let count = 0;
async function compiled(recipe: RecipeInput, work?: string, context: Context = silentContext()): Promise<string> {
  const output = join(root, `set${count++}`);
  const shared = { model: mistral, name: 'm', recipe: parseRecipe(recipe, 'test'), text: { ids }, threads: 1, seed: 0 };
  const options = { ...shared, output, memoryBytes: 2e9, standalone: false, strict: false, ...(work && { work }) };
  await compile(options, context);
  return output;
}

const dataOf = (folder: string): Buffer => readFileSync(dataIn(folder));
const reportOf = (folder: string): CompiledDistillation =>
  (JSON.parse(readFileSync(join(folder, 'm.report.json'), 'utf8')) as { compiled: { weights: CompiledDistillation } })
    .compiled.weights;

async function likelihoods(folder: string, bits: readonly number[]): Promise<readonly number[]> {
  const candidates = bits.map((each) => join(folder, `m_int${each}.onnx`));
  const options = { reference: mistral, candidates, text: { ids: held }, window: 64, threads: 1, speed: false };
  return (await evaluate(options, silentContext())).candidates.map(({ nll }) => nll);
}

describe('weights trained end to end', () => {
  it('slice better than the weights they come from, on text no step saw', async () => {
    const plain = await likelihoods(await compiled({ ...TIED, method: 'sliced-minmax' }), [2]);
    const trained = await compiled(QAT);
    const { kept, looks } = reportOf(trained);
    expect(looks.map(({ step }) => step)).toEqual([0, 4, 8]);
    // Measured: .93 of it on the text kept back, and .66 less on the other text.
    expect(kept.after).toBeLessThan(0.98 * kept.before);
    const [after] = await likelihoods(trained, [2]);
    expect(after).toBeLessThan((plain[0] as number) - 0.2);
  });

  it('have at the start the likelihood that the set of the plain grid has', async () => {
    const alone: RecipeInput = { ...QAT, bits: [2], qat: { ...LENGTH, kept: 8, steps: 1, rate: 1e-9 } };
    const swapped = ids;
    writeFileSync(join(root, 'both.jsonl'), readFileSync(ids, 'utf8') + readFileSync(held, 'utf8'));
    ids = join(root, 'both.jsonl');
    const folder = await compiled(alone);
    ids = swapped;
    const [nll] = await likelihoods(folder, [2]);
    expect(Math.abs(reportOf(folder).kept.before / (nll as number) - 1)).toBeLessThan(0.01);
  });

  it('learn from a larger precision as well, and from the float model', async () => {
    const together = reportOf(await compiled({ ...QAT, qat: { ...LENGTH, codistill: [{ from: 8, to: 2 }] } }));
    expect(together.kept.before).toBeGreaterThan(reportOf(await compiled(QAT)).kept.before + 0.3);
    expect(together.kept.after).toBeLessThan(0.9 * together.kept.before);
    const taught = reportOf(await compiled({ ...QAT, qat: { ...LENGTH, objective: 'divergence' } }));
    expect(taught.kept.after).toBeLessThan(0.9 * taught.kept.before);
  });

  it('are the same bytes after an interruption', async () => {
    const whole = await compiled(QAT);
    const work = join(root, 'work');
    const abort = new AbortController();
    const update: Context['progress']['update'] = ({ stage, done }) => {
      if (stage === 'train' && done === 6) abort.abort();
    };
    await expect(compiled(QAT, work, { ...silentContext(abort.signal), progress: { update } })).rejects.toThrow();
    expect(dataOf(await compiled(QAT, work))).toEqual(dataOf(whole));
  });

  it.each<[RecipeInput, RegExp]>([
    [{ ...QAT, decode: 'ab' }, /tied/],
    [{ ...QAT, scope: 'ffn+attention' }, /scope/],
    [{ ...QAT, qat: { codistill: [{ from: 2, to: 8 }] } }, /larger one first/],
    [{ method: 'best', qat: {} }, /does not train weights/],
  ])('are refused where the recipe contradicts itself', (recipe, sentence) => {
    expect(() => parseRecipe({ slice: 'prefix', ...recipe }, 'test')).toThrow(sentence);
  });
});
