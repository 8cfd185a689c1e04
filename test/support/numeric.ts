/** What a pass does to the numbers: outputs of a model before and after it, in ONNX Runtime. */
import { expect } from '@jest/globals';
import { modelBytes } from '../../src/onnx/convert/export.js';
import { cloneModel } from '../../src/onnx/ir/clone.js';
import { type Model, nodesOf } from '../../src/onnx/ir/graph.js';
import type { Pass } from '../../src/onnx/rewrite/define-pass.js';
import { runPasses, step } from '../../src/onnx/rewrite/run-passes.js';
import { ortRuntime } from '../../src/runtime/ort.js';
import { type Feeds, type HostTensor, numbersOf, type Outputs, withSession } from '../../src/runtime/runtime.js';

/** Runs a model as it is written: without rewriting at load, which would fuse again what a pass expanded. */
export const outputsOf = (model: Model, feeds: Feeds): Promise<Outputs> =>
  withSession(ortRuntime, modelBytes(model), { threads: 1, optimization: 'disabled' }, (session) => session.run(feeds));

/**
 * Applies `pass` to a copy and expects every output to stay within `tolerance` of its largest element. Returns the operators
 * of the copy.
 */
export async function expectSameNumbers<O>(
  pass: Pass<O>,
  model: Model,
  feeds: Feeds,
  tolerance: number,
): Promise<readonly string[]> {
  const after = cloneModel(model).model;
  runPasses(after, [step(pass)]);
  const [expected, actual] = [await outputsOf(model, feeds), await outputsOf(after, feeds)];
  expect(Object.keys(actual)).toEqual(Object.keys(expected));
  for (const [name, tensor] of Object.entries(expected)) {
    expect(actual[name]?.dims).toEqual(tensor.dims);
    expect(distance(tensor, actual[name] as HostTensor)).toBeLessThanOrEqual(tolerance);
  }
  return [...nodesOf(after.graph)].map(({ op }) => op);
}

/** Largest difference over the largest element. */
export function distance(expected: HostTensor, actual: HostTensor): number {
  const [a, b] = [numbersOf(expected), numbersOf(actual)];
  const largest = a.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
  return a.reduce((most, value, at) => Math.max(most, Math.abs(value - (b[at] ?? Number.NaN))), 0) / (largest || 1);
}
