import { describe, expect, it } from '@jest/globals';
import { PASSES } from '../passes/index.js';
import { printModel } from '../src/onnx/ir/print.js';
import { goldenCases, rewritten } from './support/golden.js';
import { parseModel } from './support/graph-text.js';

const cases = goldenCases();

describe('golden files', () => {
  it.each(cases.map((golden) => [golden.title, golden] as const))('%s', (_, golden) => {
    expect(rewritten(golden)).toBe(golden.expected);
    expect(rewritten(golden, 2)).toBe(golden.expected);
  });

  it('say why they are there', () => {
    for (const { note } of cases) expect(note.trim()).toMatch(/\.$/);
  });

  it('exist for every pass that needs no material', () => {
    const covered = new Set(cases.map(({ pass }) => pass.name));
    const listed = PASSES.filter(({ material }) => material === undefined).map(({ name }) => name);
    expect(listed.filter((name) => !covered.has(name))).toEqual([]);
  });

  it('are written in the syntax of the printer', () => {
    for (const { input } of cases) {
      if (!input.includes('random(')) expect(printModel(parseModel(input))).toBe(input);
    }
  });
});
