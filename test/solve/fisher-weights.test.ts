/** Statistics that know the loss, from a recipe to a set. */
import { readdirSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from '@jest/globals';
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

const windows = heldWindows(12).map((window) => window.slice(0, 96));
const ids = writeIds(join(root, 'ids.jsonl'), windows);
const plain = { method: 'best', block: 64, bits: [8, 2], rounds: 0, sweeps: 0, fillText: false, window: 96 } as const;
const fisher = { ...plain, fisher: {} };
const machine = { threads: 2, memoryBytes: 2e9, seed: 0 };

/** A context, and the stages that it was told of. */
function watched(): { readonly context: Context; readonly stages: Set<string> } {
  const stages = new Set<string>();
  const context = silentContext();
  return {
    context: { ...context, progress: { ...context.progress, update: ({ stage }) => stages.add(stage) } },
    stages,
  };
}

const compiled = async (name: string, more: object, context = silentContext()): Promise<CompileResult> =>
  compile({ ...COMPILE, ...machine, model: mistral, output: join(root, name), ...more }, context);
const dataOf = (name: string): Buffer => readFileSync(dataIn(join(root, name)));

describe('a recipe with fisher', () => {
  it('weighs tokens once: a later run takes the weights and the statistics of the work folder', async () => {
    const work = join(root, 'work');
    const [first, later, other] = [watched(), watched(), watched()];
    await compiled('first', { recipe: fisher, text: { ids }, work }, first.context);
    expect(first.stages.has('weigh tokens')).toBe(true);
    const kept = readdirSync(join(work, 'statistics', 'weights'));
    expect(kept.length).toBe(6);
    await compiled('later', { recipe: fisher, text: { ids }, work }, later.context);
    expect(later.stages.has('weigh tokens')).toBe(false);
    // Statistics that were lost are summed again, with the weights that are there.
    for (const name of readdirSync(join(work, 'statistics')).filter((each) => /safetensors|json/.test(each)))
      rmSync(join(work, 'statistics', name));
    rmSync(join(work, 'solved'), { recursive: true, force: true });
    await compiled('again', { recipe: fisher, text: { ids }, work }, other.context);
    expect([...other.stages]).not.toContain('weigh tokens');
    expect([...other.stages]).toContain('capture');
    expect(dataOf('later').equals(dataOf('first'))).toBe(true);
    expect(dataOf('again').equals(dataOf('first'))).toBe(true);
  });

  it('gives the same bytes for any number of threads, and others without it or with groups', async () => {
    await compiled('one', { recipe: fisher, text: { ids }, threads: 1 });
    expect(dataOf('one').equals(dataOf('first'))).toBe(true);
    await compiled('alike', { recipe: plain, text: { ids } });
    await compiled('groups', { recipe: { ...fisher, fisher: { groups: 2 } }, text: { ids } });
    expect(dataOf('alike').equals(dataOf('first'))).toBe(false);
    expect(dataOf('groups').equals(dataOf('first'))).toBe(false);
  });

  it('has statistics of as many tokens, whose weights have the mean 1', async () => {
    const recipe = parseRecipe(fisher);
    const source = openSource(mistral, recipe);
    const { statistics, close } = await measure(source, { recipe, text: { ids }, seed: 0, machine }, silentContext());
    const tokens = windows.reduce((sum, { length }) => sum + length, 0);
    for (const group of statistics?.groups ?? []) {
      const found = await statistics?.load(group);
      expect(found?.tokens).toBe(tokens);
      expect(found?.weight).toBeGreaterThan(0);
    }
    close();
  });
});

describe('given statistics', () => {
  it('have to weigh tokens as the recipe does', async () => {
    const folders = { plain: join(root, 's-plain'), fisher: join(root, 's-fisher') };
    await captureStatistics({ ...machine, model: mistral, recipe: plain, text: { ids }, output: folders.plain });
    await captureStatistics({ ...machine, model: mistral, recipe: fisher, text: { ids }, output: folders.fisher });
    const refused = { code: 'statistics-weights' };
    const others = [
      { recipe: fisher, statistics: [folders.plain] },
      { recipe: plain, statistics: [folders.fisher] },
      { recipe: { ...fisher, fisher: { groups: 4 } }, statistics: [folders.fisher] },
    ];
    for (const other of others) await expect(compiled('x', other)).rejects.toMatchObject(refused);
    expect(readdirSync(root)).not.toContain('x');
    await compiled('given', { recipe: fisher, statistics: [folders.fisher] });
    expect(dataOf('given').equals(dataOf('first'))).toBe(true);
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
