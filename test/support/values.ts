/** A value of a model over windows of text, segment by segment. */
import { analyse } from '../../src/analysis/projections.js';
import { SegmentRunner } from '../../src/capture/segment-runner.js';
import { type Model, nodesOf } from '../../src/onnx/ir/graph.js';
import { ortRuntime } from '../../src/runtime/ort.js';

/** The numbers of `name`, window after window, with other weights [n, k] for projections where they are given. */
export async function valuesOf(
  model: Model,
  name: string,
  windows: readonly Int32Array[],
  weights: ReadonlyMap<string, Float32Array> = new Map(),
): Promise<Float32Array> {
  const value = [...nodesOf(model.graph)].flatMap(({ outputs }) => outputs).find((each) => each?.name === name);
  if (value === undefined) throw new Error(`the model has no value ${name}`);
  const runner = new SegmentRunner(model, analyse(model), windows, ortRuntime, {
    machine: { threads: 1, memoryBytes: 2 ** 30 },
    targets: [value],
  });
  const stream = runner.stream();
  const found: Float32Array[] = [];
  for (const segment of runner.segments)
    await runner.run(stream, {
      groups: [],
      override: ({ id }) => weights.get(id),
      extra: segment.targets.includes(value) ? [value] : [],
      onBatch: (_, extra) => {
        const tensor = extra.get(value);
        if (tensor !== undefined) found.push(Float32Array.from(tensor.data as Float32Array));
      },
    });
  runner.close();
  const all = new Float32Array(found.reduce((sum, { length }) => sum + length, 0));
  let at = 0;
  for (const part of found) {
    all.set(part, at);
    at += part.length;
  }
  return all;
}
