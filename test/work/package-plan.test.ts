/** Plans of packages: the merge writes what `compileFor` writes, from a folder and from an object store. */
import { copyFileSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from '@jest/globals';
import { compile } from '../../src/compile/index.js';
import { digestOfWhole } from '../../src/files/range-digests.js';
import { compileFor } from '../../src/package/index.js';
import { mergePlan } from '../../src/work/merge.js';
import { plan } from '../../src/work/plan.js';
import { work } from '../../src/work/worker.js';
import { startHub } from '../support/hub-server.js';
import { fixture, temporaryFolder } from '../support/paths.js';
import { snapshot } from '../support/plans.js';
import { type S3Server, startS3 } from '../support/s3-server.js';
import { heldWindows, writeIds } from '../support/stories.js';

const folder = temporaryFolder();
const at = (name: string): string => join(folder, name);
let server: S3Server;
beforeAll(async () => {
  server = await startS3(at('store'), ['plans']);
  Object.assign(process.env, server.environment);
});
afterAll(async () => {
  await server.close();
  rmSync(folder, { recursive: true });
});

const model = at('models/tiny');
mkdirSync(model, { recursive: true });
for (const name of ['model.onnx', 'config.json', 'generation_config.json', 'tokenizer.json', 'tokenizer_config.json'])
  copyFileSync(fixture(`models/mistral-656k/${name}`), join(model, name));
writeFileSync(join(model, 'README.md'), '---\nlicense: apache-2.0\nbase_model: org/tiny\n---\n# Tiny\n');
writeFileSync(join(model, 'LICENSE'), 'the licence');
writeFileSync(
  at('text.txt'),
  'Once upon a time there was a little girl who lived in a village near the forest. '.repeat(40),
);

const input = {
  model,
  recipe: { method: 'gptq', bits: [4], block: 32, rounds: 1, sweeps: 0, tokens: 256, window: 64 },
  text: { files: [at('text.txt')] },
  for: ['transformers.js', 'genai', 'onnxruntime'],
  threads: 2,
} as const;

it('a plan for packages becomes the packages of compileFor', async () => {
  const formats = { for: [...input.for], recipe: { ...input.recipe, bits: [...input.recipe.bits] } };
  const text = { files: [...input.text.files], jsonlField: 'text', bos: 'auto' } as const;
  const asked = { ...input, ...formats, text };
  await compileFor({ ...asked, output: at('expected') });
  const expected = snapshot(at('expected'));
  expect(Object.keys(expected)).toEqual(
    expect.arrayContaining(['/onnx/model_q4.onnx', '/genai/int4/genai_config.json', '/onnxruntime/model.json']),
  );
  for (const address of [at('plan'), 's3://plans/packages']) {
    const output = address.startsWith('s3:') ? at('stored') : at('shared');
    await plan({ ...asked, output: address });
    await work({ plan: address, threads: 2, workDir: at('worker') });
    await mergePlan({ plan: address, threads: 2, workDir: at('merger'), output });
    expect(snapshot(output)).toEqual(expected);
  }
});

it('a model of the hub is not uploaded: each machine downloads it', async () => {
  const names = readdirSync(model);
  const hub = await startHub([
    { id: 'models/org/tiny', files: Object.fromEntries(names.map((name) => [name, readFileSync(join(model, name))])) },
  ]);
  const onMachine = (name: string): void =>
    void Object.assign(process.env, { HF_ENDPOINT: hub.endpoint, HF_HOME: at(`home-${name}`) });
  const ids = writeIds(
    at('ids.jsonl'),
    heldWindows(2).map((window) => window.slice(0, 64)),
  );
  const recipe = { method: 'gptq', bits: [4], block: 32, rounds: 1, sweeps: 0, tokens: 128 } as const;
  const asked = { model: 'hf:org/tiny', recipe, text: { ids }, threads: 2 };
  const [address, digest] = ['s3://plans/hub', digestOfWhole(ids)];
  try {
    onMachine('planner');
    await compile({ ...asked, output: at('hub-expected') });
    await plan({ ...asked, output: address });
    const uploaded = server.answered.filter((line) => line.startsWith('PUT /plans/hub/objects/'));
    expect(uploaded).toEqual([`PUT /plans/hub/objects/${digest} 200`]);
    onMachine('worker');
    await work({ plan: address, threads: 2, workDir: at('hub-worker') });
    await mergePlan({ plan: address, threads: 2, workDir: at('hub-merger'), output: at('hub-merged') });
    expect(snapshot(at('hub-merged'))).toEqual(snapshot(at('hub-expected')));
  } finally {
    await hub.close();
  }
});

it('a plan for packages is refused as compileFor refuses', async () => {
  const asked = { model, recipe: { method: 'data-free' }, threads: 1, output: at('none') } as const;
  await expect(plan({ ...asked, for: ['genai'], standalone: true })).rejects.toMatchObject({ code: 'bad-usage' });
  const three = { ...asked, recipe: { method: 'data-free', bits: [3] } } as const;
  await expect(plan({ ...three, for: ['genai'] })).rejects.toMatchObject({ code: 'unsupported-target' });
});
