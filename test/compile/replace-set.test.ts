/** A set in the place of another: kills between any two steps, and what becomes of the old files. */
import { spawnSync } from 'node:child_process';
import { copyFileSync, cpSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { compile } from '../../src/compile/compile.js';
import { digestOfWhole } from '../../src/files/range-digests.js';
import { silentContext } from '../../src/log.js';
import { mix } from '../../src/mix/mix.js';
import { requireSound } from '../../src/onnx/convert/check-model.js';
import { importModel } from '../../src/onnx/convert/import.js';
import { parseRecipe } from '../../src/recipe/recipe.js';
import { ortRuntime } from '../../src/runtime/ort.js';
import { openSet } from '../../src/set/set-manifest.js';
import { slice } from '../../src/set/slice.js';
import { COMPILE } from '../support/compile.js';
import { fixture, root as project, temporaryFolder } from '../support/paths.js';
import { feedsFor } from '../support/run.js';

const context = silentContext();
const model = fixture('models/gemma3-tiny/model.onnx');
const root = temporaryFolder();
afterAll(() => rmSync(root, { recursive: true }));

const compiled = (output: string, block: number, more: object = {}) => {
  const recipe = parseRecipe({ method: 'rtn', block, bits: [8, 2] }, 'test');
  // Too little memory for the check of the graphs, which these tests can do without.
  return compile({ ...COMPILE, model, output, recipe, threads: 1, memoryBytes: 4e8, ...more }, context);
};

/** What a graph computes, as text. */
async function logitsOf(path: string): Promise<string> {
  const session = await ortRuntime.open(path, { threads: 1 });
  const outputs = await session.run(feedsFor(importModel(path), 16));
  await session.close();
  return String(outputs['logits']?.data.subarray(0, 64));
}

/** Without the temporary files that a kill leaves. */
const namesIn = (folder: string): readonly string[] =>
  readdirSync(folder)
    .filter((name) => !name.endsWith('.tmp'))
    .sort();

const graphsOf = (folder: string): readonly string[] =>
  readdirSync(folder)
    .filter((name) => name.endsWith('.onnx'))
    .map((name) => join(folder, name));

let old: string;
let fresh: string;
beforeAll(async () => {
  old = join(root, 'old');
  fresh = join(root, 'fresh');
  await compiled(old, 16);
  await compiled(fresh, 32);
  writeFileSync(join(root, 'bits.json'), '{"*":2,"layers.0":8}');
  await mix({ set: join(old, 'm.json'), goal: { bitsFile: join(root, 'bits.json') }, standalone: false }, context);
});

/** Ends the process at the Nth rename or removal, before or after it. */
const HOOK = `
const fs = require('node:fs');
const [at, side] = process.env.KILL_AT.split(':');
let calls = 0;
for (const name of ['renameSync', 'rmSync']) {
  const real = fs[name];
  fs[name] = (...args) => {
    const hit = ++calls === Number(at);
    if (hit && side === 'before') process.kill(process.pid, 'SIGKILL');
    real(...args);
    if (hit && side === 'after') process.kill(process.pid, 'SIGKILL');
    fs.writeFileSync(process.env.KILL_LOG, String(calls));
  };
}
require('node:module').syncBuiltinESMExports();
`;

/** The address of a built module, for a script of another process. */
const built = (name: string): string => JSON.stringify(pathToFileURL(join(project, 'dist/src', name)).href);

function run(killAt: string, script: string): { readonly signal: string | null; readonly calls: number } {
  const [hook, log] = [join(root, 'hook.cjs'), join(root, 'log')];
  writeFileSync(hook, HOOK);
  const env = { ...process.env, KILL_AT: killAt, KILL_LOG: log };
  const args = ['--require', hook, '--input-type=module', '--eval', script];
  const { signal } = spawnSync(process.execPath, args, { env, stdio: 'ignore' });
  return { signal, calls: Number(readFileSync(log, 'utf8')) };
}

/** The digest of a graph whose data is that which it was written with. */
function soundDigest(path: string): string {
  requireSound(path);
  return digestOfWhole(path);
}

/** Kills a script at each of its steps over a copy of `before`; every graph that is left must be one of the old or the new ones. */
async function killed(before: string, script: (folder: string) => string): Promise<number> {
  const folder = join(root, 'killed');
  const start = (): void => {
    rmSync(folder, { recursive: true, force: true });
    cpSync(before, folder, { recursive: true });
  };
  start();
  const known = new Set<string>();
  for (const path of graphsOf(folder)) known.add(soundDigest(path));
  const { calls } = run('0:after', script(folder));
  for (const path of graphsOf(folder)) known.add(soundDigest(path));
  const files = namesIn(folder);
  for (let step = 1; step <= calls; step++) {
    start();
    expect(run(`${step}:before`, script(folder)).signal).toBe('SIGKILL');
    for (const path of graphsOf(folder)) expect(known).toContain(soundDigest(path));
  }
  run('0:after', script(folder));
  for (const path of graphsOf(folder)) await logitsOf(path);
  expect(namesIn(folder)).toEqual(expect.arrayContaining([...files]));
  return calls;
}

describe('whatever the instant of a kill, each graph is the old model or the new one, and a second run ends well', () => {
  it('when a set takes the place of another', async () => {
    const script = (folder: string): string => `
      import { cpSync, readdirSync } from 'node:fs';
      const { publish } = await import(${built('set/publish.js')});
      const write = async (folder) => {
        cpSync(${JSON.stringify(fresh)}, folder, { recursive: true });
        return { files: readdirSync(folder).map((path) => ({ path })) };
      };
      await publish({ folder: ${JSON.stringify(folder)}, stem: 'm', bits: [2, 8], standalone: false }, write);`;
    expect(await killed(old, script)).toBeGreaterThan(6);
    expect(namesIn(join(root, 'killed'))).toEqual(namesIn(fresh));
  }, 300_000);

  const sliced = (standalone: boolean) => (folder: string) =>
    `
      const { slice } = await import(${built('set/slice.js')});
      const { silentContext } = await import(${built('log.js')});
      const set = ${JSON.stringify(join(fresh, 'm.json'))};
      const output = ${JSON.stringify(join(folder, 'q.onnx'))};
      await slice({ set, bits: 2, output, standalone: ${standalone}, slice: 'prefix' }, silentContext());`;

  it.each([true, false])(
    'when a model takes the place of another (standalone: %s)',
    async (standalone) => {
      const before = join(root, `before-${standalone}`);
      const asked = { set: join(old, 'm.json'), bits: 2, slice: 'prefix' } as const;
      await slice({ ...asked, output: join(before, 'q.onnx'), standalone }, context);
      expect(await killed(before, sliced(standalone))).toBeGreaterThan(2);
    },
    300_000,
  );
});

describe('a set in the place of another', () => {
  const copyOfOld = (name: string): string => {
    const folder = join(root, name);
    cpSync(old, folder, { recursive: true });
    return folder;
  };

  it('removes the old data, the mixes of it and what killed runs left, and nothing else', async () => {
    const folder = copyOfOld('replaced');
    const { data } = openSet(join(folder, 'm.json')).manifest;
    for (const name of ['m.0123abcd.data', 'n.0123abcd.data', 'm.x.data']) writeFileSync(join(folder, name), 'x');
    await compiled(folder, 32);
    const expected = [...readdirSync(fresh), 'm.x.data', 'n.0123abcd.data'].sort();
    expect(readdirSync(folder).sort()).toEqual(expected);
    expect(expected).not.toContain(data);
  });

  it('keeps old data that a graph of someone else reads, or that another manifest lists', async () => {
    const folder = copyOfOld('kept');
    const { data } = openSet(join(folder, 'm.json')).manifest;
    const graph = readFileSync(join(folder, 'm_int2.onnx'), 'latin1').replaceAll('matquant.', 'someone_.');
    writeFileSync(join(folder, 'theirs.onnx'), graph, 'latin1');
    await compiled(folder, 32);
    expect(readdirSync(folder)).toEqual(expect.arrayContaining([data, 'theirs.onnx']));

    const shared = join(root, 'shared');
    mkdirSync(shared);
    const asked = { set: join(old, 'm.json'), bits: 2, standalone: false, slice: 'prefix' } as const;
    await slice({ ...asked, output: join(shared, 'two.onnx') }, context);
    await compiled(shared, 32);
    expect(readdirSync(shared)).toEqual(expect.arrayContaining([data, 'two.onnx', 'two.json']));
    await logitsOf(join(shared, 'two.onnx'));
  });

  it('takes the place of standalone models, with their data', async () => {
    const folder = join(root, 'models');
    await compiled(folder, 16, { standalone: true });
    await compiled(folder, 32);
    expect(readdirSync(folder).sort()).toEqual(readdirSync(fresh).sort());
    await expect(compiled(folder, 32, { standalone: true })).rejects.toMatchObject({ code: 'output-exists' });
  });

  it('leaves a folder of the same bytes when nothing has changed', async () => {
    const folder = join(root, 'again');
    cpSync(fresh, folder, { recursive: true });
    await compiled(folder, 32);
    for (const name of readdirSync(fresh))
      expect(readFileSync(join(folder, name)).equals(readFileSync(join(fresh, name)))).toBe(true);
  });

  it('makes the report of the old set none of the new one', async () => {
    const folder = copyOfOld('report');
    copyFileSync(join(fresh, 'm.report.json'), join(folder, 'm.report.json'));
    const { report } = await import('../../src/report/report.js');
    await expect(report({ folder }, context)).rejects.toMatchObject({ code: 'report-input' });
  });
});
