/** Base against head: figures by arithmetic, and the verb on two small sets. */
import { readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { compareCommand } from '../../src/cli/commands/compare.js';
import { evalCommand } from '../../src/cli/commands/eval.js';
import { compile } from '../../src/compile/compile.js';
import { costChanges, modelVerdict, qualityChanges, type Scored } from '../../src/evaluate/compare/figures.js';
import type { CompareResult } from '../../src/evaluate/index.js';
import type { WindowSum } from '../../src/evaluate/statistics.js';
import { createRandom } from '../../src/random.js';
import { parseRecipe } from '../../src/recipe/recipe.js';
import { runHere } from '../support/command-line.js';
import { COMPILE } from '../support/compile.js';
import { temporaryFolder } from '../support/paths.js';
import { heldWindows, mistral, writeIds } from '../support/stories.js';

/** A run with KL `kl` on average; windows differ by their text, which `text` seeds. */
function scored(kl: number, text: number, windows = 32): Scored {
  const random = createRandom(text);
  const drawn = Array.from({ length: windows }, () => ({ size: 1 + 0.3 * random.normal(), nll: 3 + random.normal() }));
  const sums = (of: (window: { size: number; nll: number }) => number): readonly WindowSum[] =>
    drawn.map((window) => ({ sum: 100 * of(window), positions: 100 }));
  const shared = { path: 'm', perplexity: 0, fileBytes: 0, tokensPerSecond: 0, loadSeconds: 0, loadedBytes: 0 };
  const errors = { nllStandardError: 0, klStandardError: 0, top1StandardError: 0, deltaNllStandardError: 0 };
  const reference = {
    ...shared,
    ...errors,
    nll: 3,
    positions: 100 * windows,
    downloadBytes: 1e6,
    windows: sums(({ nll }) => nll),
  };
  const klWindows = sums(({ size }) => kl * size);
  const mean = (of: readonly WindowSum[]): number => of.reduce((sum, each) => sum + each.sum, 0) / (100 * windows);
  const score = {
    ...reference,
    kl: mean(klWindows),
    top1: 0.9,
    deltaNll: mean(klWindows),
    storedBitsPerWeight: 4,
    klWindows,
    top1Windows: sums(() => 0.9),
    windows: sums(({ size, nll }) => nll + kl * size),
  };
  return { score, reference };
}

describe('verdicts', () => {
  it('find a small change of the same text, and none where nothing changed', () => {
    expect(qualityChanges(scored(0.1, 1), scored(0.1, 1)).map(({ verdict }) => verdict)).toEqual(
      Array(3).fill('no difference'),
    );
    const [kl, nll, top1] = qualityChanges(scored(0.1, 1), scored(0.102, 1));
    expect([kl?.verdict, nll?.verdict, top1?.verdict]).toEqual(['worse', 'worse', 'no difference']);
    expect(kl?.interval?.low).toBeGreaterThan(0);
    expect(qualityChanges(scored(0.102, 1), scored(0.1, 1))[0]?.verdict).toBe('better');
  });

  it('allow for other text on the other side', () => {
    expect(modelVerdict(scored(0.1, 1), scored(0.1, 2), 1)).toBe('no difference');
    expect(modelVerdict(scored(0.1, 1), scored(0.103, 2), 1)).toBe('no difference');
    expect(modelVerdict(scored(0.1, 1), scored(0.2, 2), 1)).toBe('worse');
    expect(modelVerdict(scored(0.1, 1, 2), scored(0.2, 1, 2), 1)).toBe('unclear');
  });

  it('take sizes exactly, and speed with its noise', () => {
    const cost = { bytes: 1000, storedBits: 4, speed: 2 };
    const verdicts = (head: Partial<typeof cost>): readonly string[] =>
      costChanges(cost, { ...cost, ...head }).map(({ verdict }) => verdict);
    expect(verdicts({ bytes: 1001, storedBits: 3.9 })).toEqual(['worse', 'better', 'no difference']);
    expect(verdicts({ speed: 1.9 })[2]).toBe('no difference');
    expect(verdicts({ speed: 1 })[2]).toBe('worse');
    expect(verdicts({ speed: 3 })[2]).toBe('better');
  });
});

describe('matquant compare', () => {
  const folder = temporaryFolder();
  const at = (name: string): string => join(folder, name);
  const run = (...args: readonly string[]): ReturnType<typeof runHere> =>
    runHere([...args, '--threads', '1', '--quiet'], [compareCommand, evalCommand]);
  afterAll(() => rmSync(folder, { recursive: true }));
  beforeAll(async () => {
    const made = async (output: string, block: number, bits: readonly number[]): Promise<unknown> =>
      compile({
        ...COMPILE,
        model: mistral,
        output: at(output),
        recipe: parseRecipe({ method: 'data-free', block, bits }, 'test'),
      });
    await made('base', 128, [8, 2]);
    await made('head', 32, [8, 3, 2]);
    writeIds(
      at('ids.jsonl'),
      heldWindows(12).map((window) => window.slice(0, 64)),
    );
  }, 120_000);
  const text = ['--model', mistral, '--ids', at('ids.jsonl')];

  it('says what got better and larger, as a table, JSON and a comment', async () => {
    const { code, stdout } = await run('compare', at('base'), at('head'), ...text, '--markdown', at('c.md'), '--json');
    expect(code).toBe(0);
    const { models, onlyHead, layers, windows, paired, verdict } = JSON.parse(stdout) as CompareResult;
    expect({ onlyHead, windows, paired }).toEqual({ onlyHead: ['int3'], windows: 12, paired: true });
    expect(models.map(({ name }) => name)).toEqual(['int2', 'int8']);
    const [int2] = models;
    expect(int2?.verdict).toBe('better');
    const changes = Object.fromEntries(int2?.changes.map((change) => [change.name, change]) ?? []);
    expect(changes['kl']).toMatchObject({ verdict: 'better' });
    expect(changes['kl']?.interval?.high).toBeLessThan(0);
    expect(changes['bytes']?.verdict).toBe('worse');
    expect(changes['stored-bits']?.difference).toBeGreaterThan(0);
    expect(changes['speed']?.base).toBeGreaterThan(0);
    expect(['better', 'worse']).toContain(verdict);
    expect(layers?.filter(({ precision, ratio }) => precision === 'int2' && ratio < 1).length).toBeGreaterThan(0);
    const comment = readFileSync(at('c.md'), 'utf8');
    expect(comment).toMatch(/^<!-- matquant compare -->\n### Models: /);
    expect(comment).toContain('| int2: better | KL |');
    expect(comment).toContain('Only in head: int3.');
    expect((await run('compare', at('head'), at('base'), ...text, '--without-speed', '--fail-on-worse')).code).toBe(3);
  }, 120_000);

  it('compares saved results in the same way, and other text unpaired', async () => {
    const saved = async (name: string, file: string, windows: readonly Int32Array[]): Promise<string> => {
      const ids = writeIds(at('some.jsonl'), windows);
      const { stdout } = await run('eval', mistral, at(file), '--ids', ids, '--json');
      writeFileSync(at(name), stdout);
      return at(name);
    };
    const windows = heldWindows(16).map((window) => window.slice(0, 48));
    const one = await saved('one.eval.json', 'base/m_int2.onnx', windows.slice(0, 8));
    const two = await saved('two.eval.json', 'base/m_int2.onnx', windows.slice(8));
    const compared = async (...args: readonly string[]): Promise<CompareResult> =>
      JSON.parse((await run('compare', ...args, '--json')).stdout) as CompareResult;
    expect(await compared(one, one)).toMatchObject({ paired: true, verdict: 'no difference' });
    expect(await compared(one, two)).toMatchObject({ paired: false, models: [{ name: 'int2' }] });
  }, 60_000);

  it('compares sizes alone without text, and writes nothing where it is refused', async () => {
    const { stdout } = await run('compare', at('base'), at('head'), '--json');
    const { models, ...rest } = JSON.parse(stdout) as CompareResult;
    expect(rest).not.toHaveProperty('verdict');
    expect(models[0]?.changes.map(({ name }) => name)).toEqual(['bytes', 'stored-bits']);
    const { code, stderr } = await run('compare', at('base'), at('head'), '--ids', at('ids.jsonl'));
    expect({ code, stderr }).toEqual({ code: 2, stderr: expect.stringContaining('[bad-usage] at --model') });
    writeFileSync(at('x.json'), '{"reference":1}');
    expect((await run('compare', at('x.json'), at('x.json'))).stderr).toContain('[report-input]');
    expect((await run('compare', at('x.json'), at('head'))).stderr).toContain('[bad-usage]');
    expect((await run('compare', at('base/m_int8.onnx'), at('head/m_int2.onnx'))).stderr).toContain(
      'No model is in both',
    );
  });
});
