/** Statistics that know the loss, from a recipe to a set. */
import { readdirSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from '@jest/globals';
import { openStatistics } from '../../src/capture/statistics-files.js';
import { type CompileResult, compile } from '../../src/compile/compile.js';
import { type Context, silentContext } from '../../src/log.js';
import { parseRecipe } from '../../src/recipe/recipe.js';
import { captureStatistics } from '../../src/solve/capture-statistics.js';
import { measure } from '../../src/solve/measure.js';
import { openSource } from '../../src/source/source.js';
import { codeOf } from '../onnx/proto/support.js';
import { COMPILE } from '../support/compile.js';
import { fixture, temporaryFolder } from '../support/paths.js';
import { dataIn } from '../support/set-files.js';
import { heldWindows, mistral, writeIds } from '../support/stories.js';

const root = temporaryFolder();
afterAll(() => rmSync(root, { recursive: true }));

const windows = heldWindows(8).map((window) => window.slice(0, 64));
const ids = writeIds(join(root, 'ids.jsonl'), windows);
const plain = { method: 'best', block: 64, bits: [8, 2], rounds: 0, sweeps: 0, fillText: false, window: 64 } as const;
const fisher = { ...plain, fisher: {} };
const machine = { threads: 2, memoryBytes: 2e9, seed: 0 };

/** A context, and the stages and warnings that it was told of. */
function watched(): { readonly context: Context; readonly stages: Set<string> } {
  const stages = new Set<string>();
  const context = silentContext();
  const log = { ...context.log, warn: (text: string) => void stages.add(text) };
  return {
    context: { ...context, log, progress: { ...context.progress, update: ({ stage }) => stages.add(stage) } },
    stages,
  };
}

const captured = async (name: string, more: object, context = silentContext()): Promise<string> => {
  const output = join(root, name);
  await captureStatistics({ ...machine, model: mistral, recipe: fisher, text: { ids }, output, ...more }, context);
  return output;
};
const bytesOf = (folder: string): ReadonlyMap<string, string> =>
  new Map(readdirSync(folder).map((name) => [name, readFileSync(join(folder, name)).toString('base64')]));

const compiled = async (name: string, more: object): Promise<CompileResult> =>
  compile({ ...COMPILE, ...machine, model: mistral, output: join(root, name), ...more }, silentContext());
const dataOf = (name: string): Buffer => readFileSync(dataIn(join(root, name)));

describe('statistics weighted by Fisher information', () => {
  it('take up the weights of an earlier run, and have the same bytes for any number of threads', async () => {
    const work = join(root, 'work');
    const [first, again] = [watched(), watched()];
    await captured('first', { work }, first.context);
    expect([...first.stages]).toContain('weigh tokens');
    expect([...first.stages]).toContainEqual(
      expect.stringMatching(/tokens of equal weight at layers\.\d\..*more text/),
    );
    expect(readdirSync(join(work, 'statistics', 'weights')).length).toBe(6);
    for (const name of readdirSync(join(work, 'statistics')).filter((each) => each !== 'weights'))
      rmSync(join(work, 'statistics', name));
    await captured('again', { work }, again.context);
    expect([...again.stages]).not.toContain('weigh tokens');
    expect([...again.stages]).toContain('capture');
    await captured('one', { threads: 1 });
    const wanted = bytesOf(join(root, 'first'));
    for (const name of ['again', 'one']) expect(bytesOf(join(root, name))).toEqual(wanted);
    expect([...bytesOf(await captured('seed', { seed: 1 })).values()]).not.toEqual([...wanted.values()]);
  });

  it('have as many tokens as the text, and a matrix for each group of outputs where asked for', async () => {
    const tokens = windows.reduce((sum, { length }) => sum + length, 0);
    const { groups, load } = await openStatistics(
      await captured('groups', { recipe: { ...fisher, fisher: { groups: 2 } } }),
    );
    expect(groups.length).toBe(4 + 2 * 6);
    for (const group of groups) {
      const found = await load(group);
      expect(found.tokens).toBe(tokens);
      expect(found.weight).toBeGreaterThan(0);
    }
    expect((await load('layers.0.up/1-of-2')).gram).not.toEqual((await load('layers.0.up/2-of-2')).gram);
  });

  it('are what a set is solved under', async () => {
    await compiled('by-text', { recipe: fisher, text: { ids } });
    await compiled('by-statistics', { recipe: fisher, statistics: [join(root, 'first')] });
    await compiled('alike', { recipe: plain, text: { ids } });
    expect(dataOf('by-statistics').equals(dataOf('by-text'))).toBe(true);
    expect(dataOf('alike').equals(dataOf('by-text'))).toBe(false);
  });

  it('have to weigh tokens as the recipe does', async () => {
    const alike = await captured('s-plain', { recipe: plain });
    const others = [
      { recipe: fisher, statistics: [alike] },
      { recipe: plain, statistics: [join(root, 'first')] },
      { recipe: { ...fisher, fisher: { groups: 4 } }, statistics: [join(root, 'first')] },
    ];
    for (const other of others)
      await expect(compiled('x', other)).rejects.toMatchObject({ code: 'statistics-weights' });
    expect(readdirSync(root)).not.toContain('x');
  });
});

it('is refused for a model with experts', async () => {
  const recipe = parseRecipe(fisher);
  const source = openSource(fixture('models/mixtral-tiny/model.onnx'), recipe);
  const run = measure(source, { recipe, text: { ids }, seed: 0, machine }, silentContext());
  await expect(run).rejects.toMatchObject({ code: 'recipe', at: expect.stringMatching(/^layers\.0\./) });
});

it('is refused where no statistics are taken, and with statistics in float64', () => {
  const code = (more: object): string | undefined => codeOf(() => parseRecipe({ method: 'best', fisher: {}, ...more }));
  expect(code({})).toBeUndefined();
  expect(code({ method: 'data-free' })).toBeUndefined();
  expect(code({ method: 'rtn' })).toBe('recipe');
  expect(code({ capture: 'float64' })).toBe('recipe');
  expect(code({ fisher: { groups: 0 } })).toBe('recipe');
  expect(code({ method: 'omniquant', bits: [4] })).toBe('recipe');
  expect(code({ method: 'omniquant', bits: [4], train: { start: 'grid' } })).toBeUndefined();
});
