/** Weights of tokens against their definition: labels drawn by hand, slopes of the loss by differences in float64. */
import { describe, expect, it } from '@jest/globals';
import type { Projection } from '../../src/analysis/projection.js';
import { analyse } from '../../src/analysis/projections.js';
import { groupsOfOutputs } from '../../src/autodiff/token-weights/mean-square.js';
import { type TokenWeightsRequest, weighTokens } from '../../src/autodiff/token-weights/token-weights.js';
import { modelBytes } from '../../src/onnx/convert/export.js';
import { importModel } from '../../src/onnx/convert/import.js';
import { Rewriter } from '../../src/onnx/rewrite/rewriter.js';
import { computeInFloat64 } from '../../src/onnx/rewrite/widen-arithmetic.js';
import { createRandom } from '../../src/random.js';
import { ortRuntime } from '../../src/runtime/ort.js';
import { integers, type Outputs, withSession } from '../../src/runtime/runtime.js';
import { gemma3 } from '../support/stories.js';

const WINDOWS = [
  [1, 50, 300, 7, 1000],
  [1, 8, 90],
].map((ids) => Int32Array.from(ids));
const TOKENS = 8;
const DRAWS = ((random) => Float32Array.from({ length: TOKENS }, () => random.uniform()))(createRandom(5));

const model = importModel(gemma3);
const analysis = analyse(model);
const named = (id: string): Projection => analysis.projections.find((each) => each.id === id) as Projection;

type Options = Partial<TokenWeightsRequest>;

async function weigh(ids: readonly string[], options: Options = {}): Promise<ReadonlyMap<string, Float32Array>> {
  const found = new Map<string, Float32Array>();
  await weighTokens({
    model,
    analysis,
    windows: WINDOWS,
    projections: ids.map(named),
    groups: 1,
    draws: DRAWS,
    runtime: ortRuntime,
    machine: { threads: 1, memoryBytes: 1e9 },
    save: ({ id }, weights) => found.set(id, weights),
    ...options,
  });
  return found;
}

/** − Σ log p of labels for many copies of a window, in each of which the output of a projection at one position is moved. */
async function losses(
  id: string,
  window: Int32Array,
  draws: Float32Array,
  moves: readonly { readonly position: number; readonly output: number; readonly by: number }[],
): Promise<Float64Array> {
  const copy = importModel(gemma3);
  const projection = analyse(copy).projections.find((each) => each.id === id) as Projection;
  const rw = new Rewriter(copy);
  const { n } = projection;
  const moved = rw.addInput(copy.graph, 'moved', { dtype: 'float32', shape: ['batch_size', 'sequence_length', n] });
  for (const { output } of projection.sites) {
    const readers = [...output.uses];
    const isLogits = output.isOutput;
    if (isLogits) throw new Error('the head is moved behind the model');
    const sum = rw.insert(readers[0]?.node as NonNullable<(typeof readers)[0]>['node'], {
      name: 'move',
      op: 'Add',
      inputs: [output, moved],
    });
    for (const { node, slot } of readers) rw.replaceInput(node, slot, sum);
  }
  computeInFloat64(rw);
  const { length } = window;
  const count = moves.length + 1;
  const delta = new Float64Array(count * length * n);
  moves.forEach(({ position, output, by }, at) => {
    delta[((at + 1) * length + position) * n + output] = by;
  });
  const repeated = (values: ArrayLike<number>) =>
    integers(Array.from({ length: count }, () => Array.from(values)).flat(), [count, length]);
  const feeds = {
    input_ids: repeated(window),
    attention_mask: repeated(window.map(() => 1)),
    position_ids: repeated(window.map((_, at) => at)),
    moved: { dtype: 'float64', dims: [count, length, n], data: delta } as const,
  };
  const outputs = await withSession(ortRuntime, modelBytes(copy), { threads: 1, optimization: 'basic' }, (session) => {
    const known = new Set(session.inputs.map(({ name }) => name));
    return session.run(Object.fromEntries(Object.entries(feeds).filter(([name]) => known.has(name))), ['logits']);
  });
  return ofLabels(outputs, count, length, draws);
}

function ofLabels(outputs: Outputs, count: number, length: number, draws: Float32Array): Float64Array {
  const { data, dims } = outputs['logits'] as NonNullable<Outputs[string]>;
  const vocabulary = dims[2] as number;
  const row = (copy: number, position: number): Float64Array => {
    const own = (data as Float64Array).subarray(
      (copy * length + position) * vocabulary,
      (copy * length + position + 1) * vocabulary,
    );
    const total = Math.log(own.reduce((sum, each) => sum + Math.exp(each), 0));
    return own.map((each) => each - total);
  };
  const labels = Array.from({ length }, (_, position) => {
    const logs = row(0, position);
    let label = 0;
    for (
      let sum = Math.exp(logs[0] as number);
      sum < (draws[position] as number);
      sum += Math.exp(logs[label] as number)
    )
      label++;
    return label;
  });
  return Float64Array.from({ length: count }, (_, copy) =>
    labels.reduce((sum, label, position) => sum - (row(copy, position)[label] as number), 0),
  );
}

/** Mean squares of slopes of the loss over groups of outputs, at one position. */
async function slopes(id: string, window: number, position: number, groups: number): Promise<readonly number[]> {
  const { n } = named(id);
  const step = 1e-4;
  const moves = Array.from({ length: 2 * n }, (_, at) => ({ position, output: at >> 1, by: at % 2 ? -step : step }));
  const start = window === 0 ? 0 : 5;
  const ids = WINDOWS[window] as Int32Array;
  const found = await losses(id, ids, DRAWS.subarray(start, start + ids.length), moves);
  const slope = Array.from(
    { length: n },
    (_, at) => ((found[2 * at + 1] as number) - (found[2 * at + 2] as number)) / (2 * step),
  );
  return groupsOfOutputs(n, groups).map(
    ({ start: from, end }) => slope.slice(from, end).reduce((sum, each) => sum + each * each, 0) / (end - from),
  );
}

describe('weights of tokens', () => {
  it('are mean squares of the slopes of the loss at the output of a projection, for labels drawn from the model', async () => {
    const found = await weigh(['layers.1.k', 'layers.2.down']);
    for (const [id, window, position] of [
      ['layers.1.k', 0, 1],
      ['layers.2.down', 1, 2],
    ] as const) {
      const [wanted] = await slopes(id, window, position, 1);
      const weight = found.get(id)?.[(window === 0 ? 0 : 5) + position] as number;
      expect(Math.abs(weight / (wanted as number) - 1)).toBeLessThan(1e-3);
    }
    expect([...found.values()].map(({ length }) => length)).toEqual([TOKENS, TOKENS]);
  });

  it('are those of groups of outputs, whose mean is the weight of all', async () => {
    const [whole, parts] = [await weigh(['layers.0.v']), await weigh(['layers.0.v'], { groups: 3 })];
    const wanted = await slopes('layers.0.v', 0, 2, 3);
    const own = (parts.get('layers.0.v') as Float32Array).subarray(2 * 3, 3 * 3);
    wanted.forEach((each, at) => {
      expect(Math.abs((own[at] as number) / each - 1)).toBeLessThan(1e-3);
    });
    const ranges = groupsOfOutputs(named('layers.0.v').n, 3);
    const mean = ranges.reduce((sum, { start, end }, at) => sum + (own[at] as number) * (end - start), 0);
    expect(mean / named('layers.0.v').n).toBeCloseTo(whole.get('layers.0.v')?.[2] as number, 5);
  });
});

describe('the passes', () => {
  const ids = ['layers.0.gate', 'layers.1.down', 'layers.3.up', 'head'];

  it('give the same whether the model is one segment or many, in memory or in files', async () => {
    const [one, many] = [
      await weigh(ids),
      await weigh(ids, { maxWeightBytes: 6e5, machine: { threads: 1, memoryBytes: 0 } }),
    ];
    expect([...many.keys()].toSorted()).toEqual([...ids].toSorted());
    for (const id of ids)
      one.get(id)?.forEach((each, at) => {
        expect(Math.abs((many.get(id)?.[at] as number) / each - 1)).toBeLessThan(1e-3);
      });
  });

  it('give the same bytes for any number of threads', async () => {
    const [one, two] = [await weigh(ids), await weigh(ids, { machine: { threads: 3, memoryBytes: 1e9 } })];
    expect(two).toEqual(one);
  });

  it('go no further back than a projection asks for, and not at all without', async () => {
    const done: number[] = [];
    expect([...(await weigh([], { onProgress: (each) => done.push(each) })).keys()]).toEqual([]);
    expect(done.at(-1)).toBeLessThan(1);
    const labels = await weigh(['head'], { draws: new Float32Array(TOKENS).fill(1) });
    expect(labels.get('head')?.every((each) => each > 0)).toBe(true);
  });
});
