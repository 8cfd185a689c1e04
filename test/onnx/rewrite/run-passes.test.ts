import { describe, expect, it } from '@jest/globals';
import { dropInitializerInputs } from '../../../passes/drop-initializer-inputs.js';
import { PASSES } from '../../../passes/index.js';
import { removeIdentity } from '../../../passes/remove-identity.js';
import { explainPass, listPasses } from '../../../src/compile/passes.js';
import { CompilerError } from '../../../src/diagnostics.js';
import { printModel } from '../../../src/onnx/ir/print.js';
import { definePass, explain, type NoOptions, noOptions, type Pass } from '../../../src/onnx/rewrite/define-pass.js';
import { initializersAreConstant, noIdentity } from '../../../src/onnx/rewrite/facts.js';
import { BrokenPassError, runPasses, step } from '../../../src/onnx/rewrite/run-passes.js';
import { parseModel } from '../../support/graph-text.js';

const TEXT = `<
  ir_version: 8,
  opset_import: ["" : 18]
>
graph (float[2] x, float[2] w = {1, 2}) => (float[2] y)
{
  [a] a = Identity (x)
  [y] y = Add (a, w)
}
`;

const pass = (over: Partial<Pass<NoOptions>>): Pass<NoOptions> =>
  definePass({
    name: 'test-pass',
    summary: 'Does something.',
    options: noOptions,
    needs: [],
    gives: [],
    keeps: 'bits',
    idempotent: true,
    run: () => {},
    ...over,
  });

const codeOf = (act: () => unknown): string | undefined => {
  try {
    act();
  } catch (error) {
    return error instanceof CompilerError ? error.code : String(error);
  }
  return undefined;
};

describe('runPasses', () => {
  it('reports what each pass changed', () => {
    const model = parseModel(TEXT);
    const reports = runPasses(model, [step(dropInitializerInputs, { overridable: true }), step(removeIdentity)]);
    expect(reports).toEqual([
      { name: 'drop-initializer-inputs', changes: [{ kind: 'initializer', at: 'w' }] },
      {
        name: 'remove-identity',
        changes: [
          { kind: 'replace', at: 'a' },
          { kind: 'erase', at: 'a' },
        ],
      },
    ]);
  });

  it('checks options against the schema', () => {
    expect(codeOf(() => step(dropInitializerInputs, { overridable: 'yes' }))).toBe('recipe');
    expect(codeOf(() => step(removeIdentity, { extra: 1 }))).toBe('recipe');
  });

  it('refuses an order in which something needed is missing, before anything runs', () => {
    const model = parseModel(TEXT);
    const needy = pass({ needs: [noIdentity] });
    expect(codeOf(() => runPasses(model, [step(needy), step(removeIdentity)]))).toBe('invalid-graph');
    expect(printModel(model)).toBe(TEXT);
    expect(codeOf(() => runPasses(model, [step(removeIdentity), step(needy)]))).toBeUndefined();
  });

  it('takes a fact that holds at the start as given', () => {
    const constant = parseModel(TEXT.replace(', float[2] w = {1, 2}', '').replace('(a, w)', '(a, x)'));
    expect(codeOf(() => runPasses(constant, [step(pass({ needs: [initializersAreConstant] }))]))).toBeUndefined();
  });

  it.each([
    [
      'leaves the graph invalid',
      pass({ run: (rw) => rw.insert(rw.model.graph, { op: 'Gelu', domain: 'other', inputs: [], name: 'g' }) }),
    ],
    ['breaks its promise', pass({ gives: [noIdentity] })],
    ['changes the interface', pass({ run: (rw) => rw.removeOutput(rw.model.graph, 0) })],
  ])('stops with the model before when a pass %s', (_, broken) => {
    const model = parseModel(TEXT);
    let caught: unknown;
    try {
      runPasses(model, [step(broken)]);
    } catch (error) {
      caught = error;
    }
    expect(caught).toBeInstanceOf(BrokenPassError);
    expect((caught as BrokenPassError).before).toBe(TEXT);
    expect((caught as BrokenPassError).message).toContain('test-pass');
  });
});

describe('descriptions', () => {
  it('have unique names, a sentence for each option, and a page', () => {
    expect(new Set(PASSES.map(({ name }) => name)).size).toBe(PASSES.length);
    for (const each of PASSES) {
      const page = explainPass(each.name);
      for (const option of page.options) expect(option.describe).toMatch(/\.$/);
      expect(explain(each)).toContain(`${each.name}: ${each.summary}`);
    }
    expect(listPasses().map(({ name }) => name)).toEqual(PASSES.map(({ name }) => name));
  });

  it('name the passes when one is not known', () => {
    expect(() => explainPass('no-such-pass')).toThrow(/remove-identity/);
  });

  it('refuse careless declarations', () => {
    expect(() => pass({ name: 'Not Kebab' })).toThrow(/kebab/);
    expect(() => pass({ summary: 'no sentence' })).toThrow(/sentence/);
  });

  it('read as a page', () => {
    expect(explain(dropInitializerInputs)).toBe(
      [
        'drop-initializer-inputs: Removes graph inputs that have the name of an initializer.',
        'needs nothing',
        'gives nothing',
        'keeps bits: outputs stay equal to the byte',
        'running it twice is running it once',
        'options',
        '  overridable = false: Also drop entries of IR 4 and later, which callers could have fed.',
        '',
      ].join('\n'),
    );
  });
});
