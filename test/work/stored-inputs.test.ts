/** Inputs that are more than a model and a text, on a store that ignores conditions of writes: units may run twice, to the same set. */
import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from '@jest/globals';
import { compile } from '../../src/compile/index.js';
import { captureStatistics } from '../../src/solve/index.js';
import { mergePlan } from '../../src/work/merge.js';
import { type PlanInput, plan } from '../../src/work/plan.js';
import { work } from '../../src/work/worker.js';
import { temporaryFolder } from '../support/paths.js';
import { snapshot } from '../support/plans.js';
import { type S3Server, startS3 } from '../support/s3-server.js';
import { heldWindows, mistral, writeIds } from '../support/stories.js';

const folder = temporaryFolder();
const at = (name: string): string => join(folder, name);
let server: S3Server;
beforeAll(async () => {
  server = await startS3(at('store'), ['plans'], false);
  Object.assign(process.env, server.environment);
});
afterAll(async () => {
  await server.close();
  rmSync(folder, { recursive: true });
});

const common = {
  model: mistral,
  recipe: { method: 'gptq', bits: [4], block: 32, rounds: 1, sweeps: 0, tokens: 128, window: 64, fillText: false },
  threads: 1,
} as const;

/** The set of a plan that two workers run is that of a compilation. */
async function expectSame(name: string, asked: Omit<PlanInput, 'output'>): Promise<void> {
  const address = `s3://plans/${name}`;
  await compile({ ...asked, output: at(`${name}-compiled`) });
  await plan({ ...asked, output: address });
  const run = (place: string) => work({ plan: address, threads: 1, pollSeconds: 0.1, workDir: at(`${name}-${place}`) });
  await Promise.all([run('first'), run('second')]);
  await mergePlan({ plan: address, threads: 1, workDir: at(`${name}-merger`), output: at(`${name}-merged`) });
  expect(snapshot(at(`${name}-merged`))).toEqual(snapshot(at(`${name}-compiled`)));
}

it('statistics that were given go with a plan', async () => {
  const windows = heldWindows(3).map((window) => window.slice(0, 64));
  const ids = writeIds(at('ids.jsonl'), windows);
  await captureStatistics({ ...common, text: { ids }, output: at('given/first') });
  await expectSame('statistics', { ...common, statistics: [at('given/first')] });
});

it('a text that the model writes goes with a plan', async () => {
  await expectSame('self', { ...common, text: { files: ['self'], jsonlField: 'text', bos: 'auto' } });
});
