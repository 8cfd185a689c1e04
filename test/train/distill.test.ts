/** Distillation through compile: better tables at the precisions asked for, everything else to the byte, and resumption. */
import { readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { compile } from '../../src/compile/compile.js';
import { evaluate } from '../../src/evaluate/evaluate-files.js';
import { type Context, silentContext } from '../../src/log.js';
import { parseRecipe, type RecipeInput } from '../../src/recipe/recipe.js';
import type { CompiledDistillation } from '../../src/set/index.js';
import { openSet } from '../../src/set/set-manifest.js';
import { writeHalf } from '../support/half-model.js';
import { writeOutliers } from '../support/outliers.js';
import { temporaryFolder } from '../support/paths.js';
import { dataIn } from '../support/set-files.js';
import { heldWindows, mistral, writeIds } from '../support/stories.js';

let root: string;
let ids: string;
let held: string;
/** Has channels that tables of plain rounding serve badly, so that what is distilled gains by a factor. */
let uneven: string;
beforeAll(() => {
  root = temporaryFolder();
  uneven = join(root, 'uneven.onnx');
  writeOutliers(mistral, uneven, 8);
  const windows = heldWindows(50).map((window) => window.slice(0, 96));
  held = writeIds(join(root, 'held.jsonl'), windows.slice(0, 8));
  ids = writeIds(join(root, 'ids.jsonl'), windows.slice(8));
});
afterAll(() => rmSync(root, { recursive: true }));

const FAST: RecipeInput = { method: 'rtn', decode: 'ab', block: 64, bits: [8, 4, 2], tokens: 1024, window: 96 };
const DISTILL = { bits: [2 as const], steps: 12, every: 4, kept: 6, batch: 192, rate: 2e-2 };
/** Steps as few as these take a quarter of the divergence off and more. */
const GAINED = 0.9;

interface Surroundings {
  readonly model: string;
  readonly threads: number;
  readonly work: string;
  readonly context: Context;
}

let count = 0;
async function compiled(
  recipe: RecipeInput,
  { model = uneven, threads = 1, work, context = silentContext() }: Partial<Surroundings> = {},
): Promise<string> {
  const output = join(root, `set${count++}`);
  const shared = { model, name: 'm', recipe: parseRecipe(recipe, 'test'), text: { ids }, threads, seed: 0 };
  await compile(
    { ...shared, output, memoryBytes: 2e9, standalone: false, strict: false, ...(work && { work }) },
    context,
  );
  return output;
}

const bytesOf = (folder: string, file?: string): Buffer =>
  readFileSync(file === undefined ? dataIn(folder) : join(folder, file));
const reportOf = (folder: string): CompiledDistillation =>
  (JSON.parse(bytesOf(folder, 'm.report.json').toString()) as { compiled: { distill: CompiledDistillation[] } })
    .compiled.distill[0] as CompiledDistillation;

async function divergences(folder: string): Promise<readonly number[]> {
  const names = ['m_int2.onnx', 'm_int4.onnx', 'm_int8.onnx'];
  const candidates = names.map((name) => join(folder, name));
  const options = { reference: uneven, candidates, text: { ids: held }, window: 96, threads: 1, speed: false };
  return (await evaluate(options, silentContext())).candidates.map(({ kl }) => kl);
}

describe('distilled tables', () => {
  it('bring int2 nearer to the float model on text no step saw, and leave the other precisions alone', async () => {
    const [before, after] = [await compiled(FAST), await compiled({ ...FAST, distill: DISTILL })];
    const [plain, distilled] = [await divergences(before), await divergences(after)];
    expect(distilled[0]).toBeLessThan(GAINED * (plain[0] as number));
    expect(distilled.slice(1)).toEqual(plain.slice(1));
    const { kept, looks, bits, steps } = reportOf(after);
    expect({ bits, steps, looks: looks.map(({ step }) => step) }).toEqual({ bits: 2, steps: 12, looks: [0, 4, 8, 12] });
    expect(kept).toEqual({ before: looks[0]?.kept, after: Math.min(...looks.map((look) => look.kept)) });
    const [{ manifest: old }, { manifest }] = [openSet(join(before, 'm.json')), openSet(join(after, 'm.json'))];
    expect(manifest.sections.map(({ sha256 }, at) => sha256 === old.sections[at]?.sha256)).toEqual([false, true, true]);
    expect(manifest.restSha256).toBe(old.restSha256);
  });

  it('learn from a float16 export as well', async () => {
    const model = join(root, 'half.onnx');
    writeHalf(uneven, model, 'float16');
    const { kept } = reportOf(await compiled({ ...FAST, distill: DISTILL }, { model }));
    expect(kept.after).toBeLessThan(GAINED * kept.before);
  });

  it('learn from a larger precision as well, and are judged by the float model alone', async () => {
    const codistill = [{ from: 4, to: 2 }];
    const [alone, taught] = [
      await compiled({ ...FAST, distill: DISTILL }),
      await compiled({ ...FAST, distill: { ...DISTILL, codistill } }),
    ];
    const [one, both] = [reportOf(alone), reportOf(taught)];
    expect(both.kept.before).toBe(one.kept.before);
    expect(both.kept.after).toBeLessThan(GAINED * both.kept.before);
    expect(bytesOf(taught)).not.toEqual(bytesOf(alone));
  });

  it('are those at the start when no step helps', async () => {
    const plain = await compiled(FAST);
    const spoilt = await compiled({ ...FAST, distill: { ...DISTILL, rate: 10, patience: 1 } });
    expect(reportOf(spoilt).looks.map(({ step }) => step)).toEqual([0, 4]);
    expect(bytesOf(spoilt)).toEqual(bytesOf(plain));
  });

  it('take half the rate from the start again as long as nothing is gained', async () => {
    const hasty = await compiled({ ...FAST, distill: { ...DISTILL, steps: 24, rate: 0.6 } });
    const { kept, looks } = reportOf(hasty);
    expect(looks[1]?.kept).toBeGreaterThan(kept.before);
    // Less is gained at an eighth of the rate asked for. Measured: .906.
    expect(kept.after).toBeLessThan(0.97 * kept.before);
  });

  it('are the same bytes for any number of threads, and after an interruption', async () => {
    const recipe = { ...FAST, distill: DISTILL };
    const [one, two] = [await compiled(recipe), await compiled(recipe, { threads: 2 })];
    expect(bytesOf(two)).toEqual(bytesOf(one));
    const work = join(root, 'work');
    const abort = new AbortController();
    const silent = silentContext(abort.signal);
    const update: Context['progress']['update'] = ({ stage, done }) => {
      if (stage === 'distill int2' && done === 7) abort.abort();
    };
    await expect(compiled(recipe, { work, context: { ...silent, progress: { update } } })).rejects.toThrow();
    const steps: number[] = [];
    const resumed = await compiled(recipe, {
      work,
      context: {
        ...silentContext(),
        progress: { update: ({ stage, done }) => void (stage === 'distill int2' && steps.push(done)) },
      },
    });
    expect(steps[0]).toBe(5);
    expect(bytesOf(resumed)).toEqual(bytesOf(one));
    expect(reportOf(resumed)).toEqual(reportOf(one));
  });

  it('need more text than is kept back, and tables of their own', async () => {
    await expect(compiled({ ...FAST, distill: { ...DISTILL, kept: 60 } })).rejects.toMatchObject({
      code: 'empty-text',
    });
    await expect(compiled({ ...FAST, decode: 'tied', distill: DISTILL })).rejects.toMatchObject({ code: 'recipe' });
    const codistill = [{ from: 2, to: 4 }];
    await expect(compiled({ ...FAST, distill: { ...DISTILL, codistill } })).rejects.toMatchObject({ code: 'recipe' });
  });
});
