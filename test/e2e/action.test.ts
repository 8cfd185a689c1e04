/** action.yml, step by step in the environment of a runner: a budget that holds, one that is missed, a cache, broken input. */
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { type ActionRun, parseYaml, runAction } from '../support/action.js';
import { fixture, root, temporaryFolder } from '../support/paths.js';
import { heldWindows, writeIds } from '../support/stories.js';

const folder = temporaryFolder();
afterAll(() => rmSync(folder, { recursive: true }));

let cwd: string;
let count = 0;
beforeAll(() => {
  writeIds(
    join(folder, 'ids.jsonl'),
    heldWindows(16).map((window) => window.slice(0, 64)),
  );
  writeFileSync(join(folder, 'recipe.json'), '{"preset":"data-free","bits":[8,2]}');
});
beforeEach(() => {
  cwd = join(folder, `run ${count++}`);
  mkdirSync(cwd);
});

const run = (budgets: readonly object[], more: Readonly<Record<string, string>> = {}): ActionRun => {
  writeFileSync(join(cwd, 'matquant.budget.json'), JSON.stringify({ budgets }, undefined, 2));
  const given = {
    model: fixture('models/mistral-656k/model.onnx'),
    recipe: join(folder, 'recipe.json'),
    budget: 'matquant.budget.json',
    'verify-ids': join(folder, 'ids.jsonl'),
    version: 'local',
    ...more,
  };
  return runAction(root, cwd, given, join(folder, 'cache'));
};

describe('the action', () => {
  it('passes, with paths, sizes and quality as outputs; a second run finds the cache', () => {
    const budgets = [{ model: 'int8', maxKl: 0.5, maxBytes: 9_000_000 }];
    const { code, outputs, summary, cacheHit } = run(budgets);
    expect({ code, cacheHit, passed: outputs['passed'] }).toEqual({ code: 0, cacheHit: false, passed: 'true' });
    expect(existsSync(join(cwd, outputs['set'] ?? ''))).toBe(true);
    const files = JSON.parse(outputs['files'] ?? '') as readonly string[];
    expect(files.every((path) => existsSync(join(cwd, path)))).toBe(true);
    expect(Object.keys(JSON.parse(outputs['sizes'] ?? '') as object).sort()).toEqual(['int2', 'int8']);
    expect(JSON.parse(outputs['quality'] ?? '')).toMatchObject([{ name: 'kl', verdict: 'pass' }, { name: 'bytes' }]);
    expect(summary).toContain('2 of 2 limits hold');
    const again = run(budgets);
    expect({ code: again.code, cacheHit: again.cacheHit }).toEqual({ code: 0, cacheHit: true });
    expect(again.outputs['cache-key']).toBe(outputs['cache-key']);
  }, 120_000);

  it('fails with the line of a missed limit, and says it in the summary', () => {
    const { code, log, outputs, summary } = run([{ model: 'int2', maxKl: 0.0001, reason: 'as good as float' }]);
    expect({ code, passed: outputs['passed'] }).toEqual({ code: 3, passed: 'false' });
    expect(log).toMatch(
      /^::error file=matquant\.budget\.json,line=5,title=Budget missed::int2: KL is .* Reason for the limit: as good as float$/m,
    );
    expect(summary).toContain('| **MISSED** | int2 | KL |');
    expect(readFileSync(join(cwd, 'matquant-out/budget.svg'), 'utf8')).toContain('#b3312c');
    expect(readFileSync(join(cwd, 'matquant-out/budget.sarif'), 'utf8')).toContain('"startLine": 5');
  }, 120_000);

  it('compiles anew under another key when the recipe changes', () => {
    writeFileSync(join(cwd, 'other.json'), '{"preset":"data-free","bits":[8,2],"block":64}');
    const { code, cacheHit } = run([], { recipe: join(cwd, 'other.json'), budget: '' });
    expect({ code, cacheHit }).toEqual({ code: 0, cacheHit: false });
  }, 120_000);

  it.each([
    ['a model that is not there', { model: 'none.onnx' }, /::error title=matquant::.*\[file-missing\] at none\.onnx/],
    ['a recipe that is not one', { recipe: 'bset' }, /::error title=matquant::There is no preset bset/],
  ])('stops at %s with an annotation', (_, given, said) => {
    const { code, log, outputs } = run([], { ...given, cache: 'false' });
    expect({ code, set: outputs['set'] }).toEqual({ code: 2, set: '' });
    expect(log).toMatch(said);
    expect(existsSync(join(cwd, 'matquant-out'))).toBe(false);
  });

  it('is given every variable that its steps read, and passes no input to a shell', () => {
    const text = readFileSync(join(root, 'action.yml'), 'utf8');
    const script = readFileSync(join(root, 'scripts/action/step.mjs'), 'utf8');
    const read = [...script.matchAll(/input\('([A-Z_]+)'\)/g)].map(([, name = '']) => `MATQUANT_${name}`);
    expect([...new Set(read)].filter((name) => !text.includes(`${name}:`))).toEqual([]);
    const { runs, inputs } = parseYaml(text) as unknown as {
      readonly runs: { readonly steps: readonly { readonly run?: string }[] };
      readonly inputs: Readonly<Record<string, { readonly default?: string }>>;
    };
    expect(runs.steps.filter((step) => step.run?.includes('${{'))).toEqual([]);
    const { version } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as { readonly version: string };
    expect(inputs['version']?.default).toBe(version);
  });
});
