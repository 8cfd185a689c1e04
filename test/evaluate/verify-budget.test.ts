/** `verify` with a budget file over all models of a set, as a command. */
import { existsSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import { verifyCommand } from '../../src/cli/commands/verify.js';
import { compile } from '../../src/compile/compile.js';
import type { VerifyResult } from '../../src/evaluate/index.js';
import { parseRecipe } from '../../src/recipe/recipe.js';
import { runHere } from '../support/command-line.js';
import { COMPILE } from '../support/compile.js';
import { fixture, temporaryFolder } from '../support/paths.js';
import { heldWindows, mistral, writeIds } from '../support/stories.js';

const folder = temporaryFolder();
const at = (name: string): string => join(folder, name);
afterAll(() => rmSync(folder, { recursive: true }));

beforeAll(async () => {
  const recipe = parseRecipe({ method: 'rtn', bits: [8, 2] }, 'test');
  await compile({ ...COMPILE, model: mistral, output: at('set'), recipe });
  writeIds(
    at('ids.jsonl'),
    heldWindows(40).map((window) => window.slice(0, 48)),
  );
}, 120_000);

const environment = { ...process.env };
afterEach(() => {
  process.env = { ...environment };
});

function budget(budgets: readonly object[]): string {
  writeFileSync(at('budget.json'), JSON.stringify({ budgets }, undefined, 2));
  return at('budget.json');
}

const run = (...args: readonly string[]): ReturnType<typeof runHere> =>
  runHere(['verify', mistral, ...args, '--threads', '1', '--quiet'], [verifyCommand]);
const ids = ['--ids', at('ids.jsonl')];

describe('verify --budget', () => {
  it('checks all models in one run, and ends with 3 and the line of what is missed', async () => {
    const file = budget([
      { model: 'int8', maxKl: 0.5, minTop1: 0.5, maxNllIncrease: 1, maxBytes: 9e6, minSpeed: 0.001 },
      { model: 'int2', maxKl: 0.01, maxStoredBits: 4, maxLoadMemory: 1e10, reason: 'fits the phone' },
    ]);
    const files = ['--sarif', at('out.sarif'), '--junit', at('out.xml'), '--summary', at('sum.md')];
    process.env['GITHUB_STEP_SUMMARY'] = at('step.md');
    const asked = [at('set'), '--budget', file, ...ids, '--windows', '8', ...files];
    const { code, stdout, stderr } = await run(...asked, '--annotate', 'github', '--json');
    expect(code).toBe(3);
    const { passed, checks, windows } = JSON.parse(stdout) as VerifyResult;
    expect({ passed, windows }).toEqual({ passed: false, windows: 8 });
    expect(checks.map(({ model, name, verdict }) => `${model} ${name} ${verdict}`)).toEqual([
      'int8 kl pass',
      'int8 nll-increase pass',
      'int8 top1 pass',
      'int8 speed pass',
      'int8 bytes pass',
      'int2 kl miss',
      'int2 load-memory pass',
      'int2 stored-bits pass',
    ]);
    const [missed] = checks.filter((check) => !check.passed);
    expect(missed?.interval?.low).toBeGreaterThan(0.01);
    expect(missed?.standardError).toBeGreaterThan(0);
    const line =
      readFileSync(file, 'utf8')
        .split('\n')
        .findIndex((text) => text.includes('0.01,')) + 1;
    expect(missed?.line).toBe(line);
    expect(stderr).toContain(`line=${line},title=Budget missed::int2: KL is`);
    expect(readFileSync(at('step.md'), 'utf8')).toContain('**MISSED** | int2 | KL');
    expect(readFileSync(at('sum.md'), 'utf8')).toContain('](sum.svg)');
    expect(readFileSync(at('sum.svg'), 'utf8')).toMatch(/^<svg /);
    expect(readFileSync(at('out.xml'), 'utf8')).toContain('tests="8" failures="1"');
    expect(readFileSync(at('out.sarif'), 'utf8')).toContain(`"startLine": ${line}`);
    // A second run replaces its own files.
    expect((await run(...asked)).code).toBe(3);
  }, 120_000);

  it('passes with a tolerance, and prints a table', async () => {
    const least = budget([{ model: 'int2', maxBytes: 1 }]);
    const { checks } = JSON.parse((await run(at('set'), '--budget', least, '--json')).stdout) as VerifyResult;
    const limit = { model: 'int2', maxBytes: Math.floor((checks[0]?.value ?? 0) * 0.7) };
    expect((await run(at('set'), '--budget', budget([limit]))).code).toBe(3);
    const { code, stdout } = await run(at('set'), '--budget', budget([{ ...limit, tolerance: 1 }]));
    expect(code).toBe(0);
    expect(stdout).toMatch(/^ +model +check +value +95 % interval +limit\npass +int2 +bytes/);
  });

  it('scores until verdicts are clear, or the text ends', async () => {
    const windows = async (limit: number): Promise<readonly (number | string | undefined)[]> => {
      const asked = [at('set/m_int2.onnx'), '--max-kl', String(limit), ...ids, '--windows', 'auto', '--json'];
      const result = JSON.parse((await run(...asked)).stdout) as VerifyResult;
      return [result.windows, result.checks[0]?.verdict];
    };
    expect(await windows(100)).toEqual([16, 'pass']);
    expect(await windows(0)).toEqual([16, 'miss']);
    const all = JSON.parse(
      (await run(at('set/m_int2.onnx'), '--max-kl', '1', ...ids, '--json')).stdout,
    ) as VerifyResult;
    // The measured value itself as the limit is never clear.
    expect(await windows(all.checks[0]?.value ?? 0)).toEqual([40, 'unclear']);
  }, 120_000);

  it('lets an unclear verdict count as asked', async () => {
    const few = [at('set/m_int2.onnx'), '--max-kl', '100', ...ids, '--windows', '2'];
    expect((await run(...few)).code).toBe(0);
    expect((await run(...few, '--unclear', 'fail')).code).toBe(3);
    const beyond = [at('set/m_int2.onnx'), '--max-kl', '0', ...ids, '--windows', '2'];
    expect((await run(...beyond)).code).toBe(3);
    expect((await run(...beyond, '--unclear', 'pass')).code).toBe(0);
  }, 60_000);

  it('takes limits on answers to questions', async () => {
    const { items } = JSON.parse(readFileSync(fixture('report/task-likelihoods.json'), 'utf8')) as { items: unknown[] };
    writeFileSync(at('stories.jsonl'), items.map((item) => JSON.stringify(item)).join('\n'));
    const asked = ['--task', at('stories.jsonl'), '--tokenizer', fixture('models/mistral-656k/tokenizer.json')];
    const file = budget([{ model: 'int8', minAccuracy: { stories: 0.1 } }]);
    const { code, stdout } = await run(at('set'), '--budget', file, ...asked, '--json');
    expect(code).toBe(0);
    const [check] = (JSON.parse(stdout) as VerifyResult).checks;
    expect(check).toMatchObject({ name: 'accuracy stories', verdict: 'pass', line: 6 });
    expect((await run(at('set'), '--budget', file)).stderr).toContain('no task is called so');
  }, 60_000);

  it.each([
    ['int5', [{ model: 'int5', maxBytes: 1 }], 'bad-usage'],
    ['--ids', [{ model: 'int2', maxKl: 1 }], 'bad-usage'],
    ['maxKL', [{ model: 'int2', maxKL: 1 }], 'budget'],
  ])('refuses %s and leaves nothing behind', async (part, budgets, error) => {
    const { code, stderr } = await run(at('set'), '--budget', budget(budgets), '--summary', at('none.md'));
    expect({ code, error: stderr.includes(`[${error}]`), part: stderr.includes(part) }).toEqual({
      code: 2,
      error: true,
      part: part !== '--ids',
    });
    expect(existsSync(at('none.md'))).toBe(false);
  });

  it('replaces neither the budget nor the summary of another tool', async () => {
    const file = budget([{ model: 'int2', maxBytes: 1 }]);
    expect((await run(at('set'), '--budget', file, '--sarif', file)).stderr).toContain('[output-exists]');
    writeFileSync(at('other.md'), '# Mine\n');
    expect((await run(at('set'), '--budget', file, '--summary', at('other.md'))).code).toBe(2);
    expect(readFileSync(at('other.md'), 'utf8')).toBe('# Mine\n');
  });
});
