/** Units that go through the whole model: they leave what a compilation finds, and the set is the same. */
import { existsSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, expect, it, jest } from '@jest/globals';
import { compile } from '../../src/compile/compile.js';
import { captureStatistics } from '../../src/solve/capture-statistics.js';
import { mergePlan } from '../../src/work/merge.js';
import { plan } from '../../src/work/plan.js';
import { work } from '../../src/work/worker.js';
import { listening } from '../support/listening.js';
import { temporaryFolder } from '../support/paths.js';
import { planned, snapshot, writeWindows } from '../support/plans.js';

jest.setTimeout(180_000);

const root = temporaryFolder();
const ids = writeWindows(join(root, 'ids.jsonl'));
afterAll(() => rmSync(root, { recursive: true }));

const SMALL = { bits: [8, 2], embeddingBits: 'keep', fillText: false };
const TUNED = { train: { steps: 2, learn: ['tables'] }, distill: { steps: 2, kept: 2, bits: [2] } };
const CASES: readonly (readonly [string, object, readonly string[]])[] = [
  ['prefix', { ...SMALL, method: 'gptq', tokens: 256, prefix: { bits: [2] }, ...TUNED }, ['prefix', 'distill']],
  ['train', { ...SMALL, method: 'matquant', train: { steps: 2 } }, ['train']],
];

it.each(CASES)('%s: each stage is one unit, whose results the merge takes', async (name, recipe, stages) => {
  const at = (part: string): string => join(root, `${name}-${part}`);
  const { units } = await plan({ ...planned(ids, recipe), output: at('plan') });
  expect(units.map(({ kind }) => kind).filter((kind) => stages.includes(kind))).toEqual(stages);
  const { ran } = await work({ plan: at('plan'), threads: 2, pollSeconds: 0.05 });
  for (const stage of stages) expect(ran.find(({ unit }) => unit === stage)?.files.length).toBeGreaterThan(0);
  const before = snapshot(at('plan'));
  await mergePlan({ plan: at('plan'), output: at('merged'), threads: 2 });
  // A result that was made again would be a new file.
  expect(snapshot(at('plan'))).toEqual(before);
  await compile({ ...planned(ids, recipe), output: at('compiled') });
  expect(snapshot(at('merged'))).toEqual(snapshot(at('compiled')));
});

it('statistics that were given take the place of captures, and are watched', async () => {
  const at = (part: string): string => join(root, `given-${part}`);
  const { text: _, shards: __, ...options } = planned(ids, { ...SMALL, method: 'gptq' });
  const { model, recipe, threads, memoryBytes, seed } = options;
  const capture = { model, threads, memoryBytes, seed, ...(recipe && { recipe }) };
  await captureStatistics({ ...capture, text: { ids }, output: at('statistics') });
  const given = { ...options, statistics: [at('statistics')] };
  const { units } = await plan({ ...given, output: at('plan') });
  expect([...new Set(units.map(({ kind }) => kind))]).toEqual(['solve', 'emit']);
  await work({ plan: at('plan'), threads: 2 });
  await mergePlan({ plan: at('plan'), output: at('merged'), threads: 2 });
  await compile({ ...given, output: at('compiled') });
  expect(snapshot(at('merged'))).toEqual(snapshot(at('compiled')));
  rmSync(at('statistics'), { recursive: true });
  await captureStatistics({ ...capture, text: { ids }, recipe: { ...recipe, tokens: 128 }, output: at('statistics') });
  const context = listening();
  await expect(work({ plan: at('plan') }, context)).rejects.toMatchObject({ code: 'input-changed' });
  await expect(mergePlan({ plan: at('plan'), output: at('again') })).rejects.toMatchObject({ code: 'input-changed' });
  expect(existsSync(at('again'))).toBe(false);
});
