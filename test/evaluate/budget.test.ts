import { readFileSync, writeFileSync } from 'node:fs';
import { join, win32 } from 'node:path';
import { describe, expect, it } from '@jest/globals';
import { Ajv2020 } from 'ajv/dist/2020.js';
import { budgetSchemaText } from '../../scripts/budget-schema.js';
import { readBudgets } from '../../src/evaluate/budget/budget-file.js';
import {
  type Check,
  githubAnnotations,
  junitOf,
  plotOf,
  sarifOf,
  shortName,
  summaryOf,
} from '../../src/evaluate/budget/index.js';
import { jsonLines } from '../../src/evaluate/budget/json-lines.js';
import { root, temporaryFolder } from '../support/paths.js';

const folder = temporaryFolder();
let count = 0;
function written(text: string): string {
  const path = join(folder, `${count++}.json`);
  writeFileSync(path, text);
  return path;
}

const valid = { budgets: [{ model: 'int4', maxKl: 0.1, maxBytes: 5_000_000, reason: 'fits the phone' }] };
const invalid: readonly (readonly [string, unknown])[] = [
  ['budgets', {}],
  ['budgets', { budgets: [] }],
  ['model', { budgets: [{ maxKl: 1 }] }],
  ['at least one of', { budgets: [{ model: 'int4' }] }],
  ['maxKL', { budgets: [{ model: 'int4', maxKL: 1 }] }],
  ['minTop1', { budgets: [{ model: 'int4', minTop1: 95 }] }],
  ['maxBytes', { budgets: [{ model: 'int4', maxBytes: '5MB' }] }],
  ['tolerance', { budgets: [{ model: 'int4', maxKl: 1, tolerance: 5 }] }],
];

describe('the budget file', () => {
  it('is read with the line of every limit', () => {
    const { budgets, lines } = readBudgets(written(JSON.stringify(valid, undefined, 2)));
    expect(budgets).toEqual([{ ...valid.budgets[0], tolerance: 0 }]);
    expect(lines.get('budgets[0].maxKl')).toBe(5);
    expect(lines.get('budgets[0].maxBytes')).toBe(6);
  });

  it.each(invalid)('is refused with the place %s', (part, value) => {
    const read = (): unknown => readBudgets(written(JSON.stringify(value)));
    expect(read).toThrow(expect.objectContaining({ code: 'budget', message: expect.stringContaining(part) }));
  });

  it('is refused when it is not there or no JSON', () => {
    expect(() => readBudgets(join(folder, 'none.json'))).toThrow(expect.objectContaining({ code: 'file-missing' }));
    expect(() => readBudgets(written('{"budgets": ['))).toThrow(expect.objectContaining({ code: 'budget' }));
  });

  it('has a published schema that accepts and refuses the same', () => {
    const text = readFileSync(join(root, 'docs/matquant.budget.schema.json'), 'utf8');
    expect(text).toBe(budgetSchemaText());
    const check = new Ajv2020({ strict: true }).compile(JSON.parse(text));
    expect(check({ $schema: 'x', ...valid })).toBe(true);
    // That one limit is needed at least is a rule that the schema cannot state.
    for (const [part, value] of invalid) expect([part, check(value)]).toEqual([part, part === 'at least one of']);
  });
});

describe('jsonLines', () => {
  it('finds keys and entries, however they are spaced', () => {
    const text = '{\n  "a": [1,\n    2, {"b\\"x": "c\\n:,{"}\n  ],\n\n  "d"\n:\n{ "e": true }, "f": [[], [7,\n8]]}\n';
    JSON.parse(text);
    expect(Object.fromEntries(jsonLines(text))).toEqual({
      '': 1,
      a: 2,
      'a[0]': 2,
      'a[1]': 3,
      'a[2]': 3,
      'a[2].b"x': 3,
      d: 6,
      'd.e': 8,
      f: 8,
      'f[0]': 8,
      'f[1]': 8,
      'f[1][0]': 8,
      'f[1][1]': 9,
    });
  });
});

const checks: readonly Check[] = [
  {
    model: 'int2',
    name: 'kl',
    value: 0.43,
    limit: 0.4,
    side: 'most',
    passed: false,
    verdict: 'miss',
    standardError: 0.01,
    interval: { low: 0.41, high: 0.45 },
    reason: '100 % of users:\nsee | the study',
    line: 7,
  },
  { model: 'int4', name: 'bytes', value: 9e6, limit: 9.5e6, side: 'most', passed: true, verdict: 'pass', line: 12 },
  { model: 'int4', name: 'top1', value: 0.91, limit: 0.9, side: 'least', passed: true, verdict: 'unclear', line: 13 },
];

describe('what is published', () => {
  it('points at the line of a missed limit, and warns of an unclear one', () => {
    expect(githubAnnotations(checks, 'ci\\a,b.json')).toEqual([
      '::error file=ci/a%2Cb.json,line=7,title=Budget missed::int2: KL is 0.430 (95 %25 interval 0.410 to 0.450), the limit is at most 0.400. Reason for the limit: 100 %25 of users:%0Asee | the study',
      '::warning file=ci/a%2Cb.json,line=13,title=Budget unclear::int4: top-1 is 0.910, the limit is at least 0.900.',
    ]);
  });

  it('is a table that no reason breaks', () => {
    const text = summaryOf({ checks, positions: 100, windows: 5 }, 'a b.svg');
    expect(text).toContain('2 of 3 limits hold');
    expect(text).toContain('| **MISSED** | int2 | KL | 0.430 ± 0.010 | 0.410 to 0.450 | ≤ 0.400 | ██████████ 108 % |');
    expect(text).toContain('- int2: 100 % of users: see \\| the study');
    expect(text).toContain('(a%20b.svg)');
    expect(text.split('\n').filter((line) => line.startsWith('|'))).toHaveLength(5);
  });

  it('is a picture with a bar for each check, and a whisker where there is an interval', () => {
    const svg = plotOf(checks);
    expect(svg.match(/<rect x=/g)).toHaveLength(3);
    expect(svg.match(/stroke-width="2"/g)).toHaveLength(1);
    const [, end] = /<rect x="190" y="28" width="([\d.]+)"/.exec(svg) ?? [];
    expect(Number(end)).toBeCloseTo((300 * (0.43 / 0.4)) / 2, 0);
  });

  it('is SARIF with what a viewer needs', () => {
    const { version, runs } = JSON.parse(sarifOf(checks, 'ci/my budget.json')) as {
      version: string;
      runs: readonly { tool: { driver: { rules: { id: string }[] } }; results: Record<string, unknown>[] }[];
    };
    expect(version).toBe('2.1.0');
    const [run] = runs;
    expect(run?.tool.driver).toMatchObject({ name: 'onnx-matquant', version: expect.stringMatching(/^\d/) });
    const rules = run?.tool.driver.rules.map(({ id }) => id);
    expect(run?.results.map(({ ruleId, level }) => [rules?.includes(String(ruleId)), level])).toEqual([
      [true, 'error'],
      [true, 'warning'],
    ]);
    expect(run?.results[0]).toMatchObject({
      message: { text: expect.stringContaining('KL is 0.430') },
      locations: [{ physicalLocation: { artifactLocation: { uri: 'ci/my%20budget.json' }, region: { startLine: 7 } } }],
    });
  });

  it('is JUnit with a failure for what is beyond its limit', () => {
    const text = junitOf('out', checks, []);
    expect(text).toContain('tests="3" failures="1"');
    expect(text).toContain('name="int2 kl"><failure');
  });
});

it.each([
  ['out/model_int4.onnx', 'int4'],
  ['C:\\sets\\gemma_int2.onnx', 'int2'],
  ['out/model_phone.onnx', 'model_phone'],
  ['model.onnx', 'model'],
  [win32.join('D:', 'sets', 'a b', 'gemma_int3.onnx'), 'int3'],
])('shortName of %s is %s', (path, name) => {
  expect(shortName(path)).toBe(name);
});
