/** A bias for every output that learns beside the tables: in the data file, in every kind of graph over it, and in runs taken up again. */
import { readFileSync, rmSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { compile } from '../../src/compile/compile.js';
import { evaluate } from '../../src/evaluate/evaluate-files.js';
import { type Context, silentContext } from '../../src/log.js';
import { mix } from '../../src/mix/mix.js';
import { openMeter } from '../../src/mix/mix-meter.js';
import { parseRecipe, type RecipeInput } from '../../src/recipe/recipe.js';
import type { CompiledDistillation } from '../../src/set/index.js';
import { openSet } from '../../src/set/set-manifest.js';
import { openTemplate } from '../../src/set/set-template.js';
import { slice } from '../../src/set/slice.js';
import { COMPILE } from '../support/compile.js';
import { writeOutliers } from '../support/outliers.js';
import { temporaryFolder } from '../support/paths.js';
import { dataIn } from '../support/set-files.js';
import { heldWindows, mistral, writeIds } from '../support/stories.js';

const context = silentContext();
const KEPT = 6;
const windows = heldWindows(40)
  .filter(({ length }) => length >= 96)
  .map((window) => window.slice(0, 96));
const RECIPE: RecipeInput = {
  method: 'rtn',
  decode: 'ab',
  block: 64,
  bits: [8, 4, 2],
  tokens: 1024,
  window: 96,
  accuracyLevel: 0,
  distill: { bits: [2], steps: 24, every: 6, kept: KEPT, batch: 192, rate: 1e-2, learn: ['tables', 'bias'] },
};
const TABLES: RecipeInput = { ...RECIPE, distill: { ...RECIPE.distill, learn: ['tables'] } };
let root: string;
let ids: string;
let kept: string;
let biased: string;
let plain: string;
/** Has channels that leave much for tables and a bias to gain. */
let uneven: string;
beforeAll(async () => {
  root = temporaryFolder();
  uneven = join(root, 'uneven.onnx');
  writeOutliers(mistral, uneven, 6);
  ids = writeIds(join(root, 'ids.jsonl'), windows);
  kept = writeIds(join(root, 'kept.jsonl'), windows.slice(-KEPT));
  [biased, plain] = [await compiled(RECIPE), await compiled(TABLES)];
});
afterAll(() => rmSync(root, { recursive: true }));

let count = 0;
async function compiled(recipe: RecipeInput, work?: string, own: Context = context): Promise<string> {
  const output = join(root, `set${count++}`);
  const made = { ...COMPILE, model: uneven, output, recipe: parseRecipe(recipe, 'test'), text: { ids }, threads: 1 };
  await compile({ ...made, ...(work !== undefined && { work }) }, own);
  return output;
}

const reportOf = (folder: string): CompiledDistillation =>
  (JSON.parse(readFileSync(join(folder, 'm.report.json'), 'utf8')) as { compiled: { distill: CompiledDistillation[] } })
    .compiled.distill[0] as CompiledDistillation;

async function klOf(...candidates: readonly string[]): Promise<readonly number[]> {
  const options = { reference: uneven, candidates, text: { ids: kept }, window: 96, threads: 1, speed: false };
  return (await evaluate(options, context)).candidates.map(({ kl }) => kl);
}

describe('a learned bias', () => {
  it('gains beside tables, and the frozen graph errs on the kept text as the student did', async () => {
    const [own, tables] = [reportOf(biased).kept, reportOf(plain).kept];
    expect(own.before).toBe(tables.before);
    expect(own.after).toBeLessThan(0.97 * tables.after);
    const [kl] = await klOf(join(biased, 'm_int2.onnx'));
    expect(Math.abs((kl as number) / own.after - 1)).toBeLessThan(2e-3);
  });

  it('lies in the section of its precision and leaves the other precisions alone', async () => {
    const { manifest } = openSet(join(biased, 'm.json'));
    for (const { tables, n } of manifest.layout.projections)
      expect(tables.map(({ bias }) => bias?.length)).toEqual([2 * n, undefined, undefined]);
    const [int2] = manifest.layout.sections;
    for (const { tables } of manifest.layout.projections)
      expect((tables[0]?.bias?.offset ?? 0) + (tables[0]?.bias?.length ?? 0)).toBeLessThanOrEqual(int2?.end as number);
    const large = ['m_int4.onnx', 'm_int8.onnx'];
    expect(await klOf(...large.map((name) => join(biased, name)))).toEqual(
      await klOf(...large.map((name) => join(plain, name))),
    );
  });

  it('comes along into slices and mixes, standalone or not', async () => {
    const set = join(biased, 'm.json');
    const [whole] = await klOf(join(biased, 'm_int2.onnx'));
    const folder = temporaryFolder();
    const files = ['cut', 'alone', 'mixed'].map((name) => join(folder, `${name}.onnx`)) as [string, string, string];
    try {
      await slice({ set, bits: 2, output: files[0], standalone: false, slice: 'prefix' }, context);
      await slice({ set, bits: 2, output: files[1], standalone: true, slice: 'prefix' }, context);
      await mix({ set, goal: { averageBits: 2 }, output: files[2], standalone: false }, context);
      expect(statSync(dataIn(folder)).size).toBe(openSet(set).manifest.graphs[0]?.bytesNeeded);
      for (const kl of await klOf(...files)) expect(kl).toBeCloseTo(whole as number, 4);
    } finally {
      rmSync(folder, { recursive: true });
    }
  });

  it('counts in the model that searches mixes', async () => {
    const request = {
      text: { ids: kept },
      window: 96,
      tokens: KEPT * 96,
      original: uneven,
      threads: 1,
      memoryBytes: 1e9,
    };
    const { meter, parent, close } = await openMeter(openTemplate(join(biased, 'm.json')), request, context);
    try {
      const expected = await klOf(join(biased, 'm_int2.onnx'), join(biased, 'm_int8.onnx'));
      for (const [at, bits] of ([2, 8] as const).entries()) {
        const { kl } = await meter.measure(new Map([...parent.keys()].map((id) => [id, bits])));
        expect(kl).toBeCloseTo(expected[at] as number, 5);
      }
    } finally {
      await close();
    }
  });

  it('is the same to the byte after an interruption', async () => {
    const work = join(root, 'work');
    const abort = new AbortController();
    const update: Context['progress']['update'] = ({ stage, done }) => {
      if (stage === 'distill int2' && done === 7) abort.abort();
    };
    await expect(compiled(RECIPE, work, { ...silentContext(abort.signal), progress: { update } })).rejects.toThrow();
    const resumed = await compiled(RECIPE, work);
    expect(readFileSync(dataIn(resumed)).equals(readFileSync(dataIn(biased)))).toBe(true);
  });
});
