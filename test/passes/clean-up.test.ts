/** What the clean-up passes promise about numbers, checked in ONNX Runtime on their own golden inputs and on decoders. */
import { describe, expect, it } from '@jest/globals';
import { PASSES } from '../../passes/index.js';
import { shareTiedHead } from '../../passes/share-tied-head.js';
import { analyse } from '../../src/analysis/projections.js';
import { importModel } from '../../src/onnx/convert/import.js';
import { cloneModel } from '../../src/onnx/ir/clone.js';
import type { Model } from '../../src/onnx/ir/graph.js';
import type { Pass, PassDescription } from '../../src/onnx/rewrite/define-pass.js';
import { runPasses, step } from '../../src/onnx/rewrite/run-passes.js';
import type { HostTensor } from '../../src/runtime/runtime.js';
import { goldenCases } from '../support/golden.js';
import { parseModel } from '../support/graph-text.js';
import { decoderModel, mergedModel } from '../support/graphs.js';
import { fixture } from '../support/paths.js';
import { feedsFor, runModel } from '../support/run.js';

/** Relative to the largest output: a transposed weight may be summed in another order. */
const TOLERANCE = 1e-6;

const exact = PASSES.filter(({ keeps, material }) => keeps === 'bits' && material === undefined);
const applied = (model: Model, pass: PassDescription, options: unknown = {}): Model => {
  const copy = cloneModel(model).model;
  runPasses(copy, [step(pass as Pass<unknown>, options)]);
  return copy;
};

const floatsOf = (tensor: HostTensor | undefined): readonly number[] => Array.from((tensor as HostTensor).data, Number);

function expectClose(actual: readonly number[], expected: readonly number[]): void {
  const scale = Math.max(...expected.map(Math.abs));
  expect(actual).toHaveLength(expected.length);
  expect(scale).toBeGreaterThan(0);
  const worst = Math.max(...actual.map((value, at) => Math.abs(value - (expected[at] ?? Number.NaN))));
  expect(worst).toBeLessThanOrEqual(TOLERANCE * scale);
}

describe('passes that keep bits', () => {
  const goldens = goldenCases().filter(({ pass }) => exact.includes(pass));

  it.each(goldens.map((golden) => [golden.title, golden] as const))('%s', async (_, { pass, input, options }) => {
    const model = parseModel(input);
    const feeds = feedsFor(model, 3);
    expect(await runModel(applied(model, pass, options), feeds)).toEqual(await runModel(model, feeds));
  });

  it.each(exact.map((pass) => [pass.name, pass] as const))('%s on decoders', async (_, pass) => {
    for (const model of [decoderModel({ tie: 'copy', opset: 18 }), mergedModel()]) {
      const feeds = feedsFor(model, 40);
      expect(await runModel(applied(model, pass), feeds)).toEqual(await runModel(model, feeds));
    }
  });
});

describe('share-tied-head', () => {
  it('gives the same logits from one table', async () => {
    const model = decoderModel({ tie: 'copy', opset: 18 });
    const shared = applied(model, shareTiedHead);
    expect(analyse(shared).embedding?.head).toBe('tied');
    const feeds = feedsFor(model, 40);
    const [before, after] = [await runModel(model, feeds), await runModel(shared, feeds)];
    expectClose(floatsOf(after.logits), floatsOf(before.logits));
  });

  it.each(['tied', 'untied', 'head owns'] as const)('leaves a head that is %s', (tie) => {
    const copy = cloneModel(decoderModel({ tie })).model;
    const [report] = runPasses(copy, [step(shareTiedHead)]);
    expect(report?.changes).toEqual([]);
  });

  it('finds the second copy in an export of Gemma 3, if it has one', () => {
    const model = importModel(fixture('models/gemma3-tiny/model.onnx'));
    const before = analyse(model).embedding?.head;
    runPasses(model, [step(shareTiedHead)]);
    expect(['tied', 'copy']).toContain(before);
    expect(analyse(model).embedding?.head).toBe('tied');
  });
});
