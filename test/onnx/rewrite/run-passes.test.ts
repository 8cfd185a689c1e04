import { describe, expect, it } from '@jest/globals';
import { dropInitializerInputs } from '../../../passes/drop-initializer-inputs.js';
import { PASSES } from '../../../passes/index.js';
import { explainPass, listPasses } from '../../../passes/pages.js';
import { CompilerError } from '../../../src/diagnostics.js';
import type { Node, Value } from '../../../src/onnx/ir/graph.js';
import { definePass, type NoOptions, noOptions, type Pass } from '../../../src/onnx/rewrite/define-pass.js';
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
    keeps: 'bits',
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
    const erase = pass({
      run: (rw) => {
        const node = rw.model.graph.nodes[0] as Node;
        rw.replaceUses(node.outputs[0] as Value, node.inputs[0] as Value);
        rw.erase(node);
      },
    });
    expect(runPasses(model, [step(dropInitializerInputs, { overridable: true }), step(erase)])).toEqual([
      { name: 'drop-initializer-inputs', changes: [{ kind: 'initializer', at: 'w' }] },
      {
        name: 'test-pass',
        changes: [
          { kind: 'replace', at: 'a' },
          { kind: 'erase', at: 'a' },
        ],
      },
    ]);
  });

  it('checks options against the schema', () => {
    expect(codeOf(() => step(dropInitializerInputs, { overridable: 'yes' }))).toBe('recipe');
    expect(codeOf(() => step(pass({}), { extra: 1 }))).toBe('recipe');
  });

  it('takes nodes of placeholder domains where it is told of them', () => {
    const placing = pass({
      run: (rw) => rw.insert(rw.model.graph, { op: 'Stand', domain: 'matquant', inputs: [], name: 's' }),
    });
    expect(() => runPasses(parseModel(TEXT), [step(placing)])).toThrow(BrokenPassError);
    expect(runPasses(parseModel(TEXT), [step(placing)], ['matquant'])[0]?.changes).toHaveLength(1);
  });

  it.each([
    [
      'leaves the graph invalid',
      pass({ run: (rw) => rw.insert(rw.model.graph, { op: 'Gelu', domain: 'other', inputs: [], name: 'g' }) }),
    ],
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
      expect(page.promise).toMatch(/^(out|in)puts /);
    }
    expect(listPasses().map(({ name }) => name)).toEqual(PASSES.map(({ name }) => name));
  });

  it('name the passes when one is not known', () => {
    expect(() => explainPass('no-such-pass')).toThrow(/drop-notes/);
  });

  it('refuse careless declarations', () => {
    expect(() => pass({ name: 'Not Kebab' })).toThrow(/kebab/);
    expect(() => pass({ summary: 'no sentence' })).toThrow(/sentence/);
  });
});
