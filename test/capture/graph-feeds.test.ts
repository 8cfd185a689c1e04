import { describe, expect, it } from '@jest/globals';
import type { ModelAnalysis } from '../../src/analysis/projection.js';
import { GraphFeeder } from '../../src/capture/graph-feeds.js';
import { int } from '../../src/onnx/ir/attribute.js';
import type { Value } from '../../src/onnx/ir/graph.js';
import { newGraph, newModel } from '../../src/onnx/ir/mutate.js';
import { Rewriter } from '../../src/onnx/rewrite/rewriter.js';
import { batchesOf, rowScaleOf, weightOf } from '../../src/text/batches.js';

const model = newModel(newGraph('g'), 10, new Map([['', 21]]));
const rewriter = new Rewriter(model);
const none: ModelAnalysis = {
  projections: [],
  refusals: [],
  embedding: undefined,
  tables: [],
  layers: 1,
  activation: undefined,
};
const [batch] = batchesOf([
  [5, 6, 7],
  [8, 9, 10],
]);
const feed = async (value: Value, feeder = new GraphFeeder(model, none)) => {
  const dtype = value.type?.dtype === 'float16' ? 'float32' : (value.type?.dtype ?? 'float32');
  const feeds = await feeder.read([{ name: value.name, value, dtype }], batch as NonNullable<typeof batch>);
  return feeds[value.name];
};
const input = (
  name: string,
  dtype: 'int64' | 'int32' | 'float32' | 'float16',
  shape: readonly (string | number)[],
): Value => rewriter.addInput(model.graph, name, { dtype, shape });

describe('GraphFeeder', () => {
  it('feeds ids, masks and positions for all windows of a batch', async () => {
    expect(await feed(input('input_ids', 'int64', ['b', 's']))).toEqual({
      dtype: 'int64',
      dims: [2, 3],
      data: BigInt64Array.of(5n, 6n, 7n, 8n, 9n, 10n),
    });
    expect((await feed(input('attention_mask', 'int32', ['b', 's'])))?.data).toEqual(new Int32Array(6).fill(1));
    expect((await feed(input('position_ids', 'int64', ['b', 's'])))?.data).toEqual(
      BigInt64Array.of(0n, 1n, 2n, 0n, 1n, 2n),
    );
    await expect(feed(input('pixel_values', 'float32', ['b']))).rejects.toThrow(
      expect.objectContaining({ code: 'unsupported-model' }),
    );
  });

  it('feeds empty caches in the type of the edge', async () => {
    const past = input('past_key_values.0.key', 'float16', ['b', 4, 'past_sequence_length', 16]);
    expect(await feed(past)).toEqual({ dtype: 'float32', dims: [2, 4, 0, 16], data: new Float32Array(0) });
  });

  it('finds the width of a cache in hints and the length of a window in its attention node', async () => {
    const past = input('past_key_values.1.key', 'float32', ['b', 2, 'past_sliding_length', 'kv_cache_dim']);
    await expect(feed(past)).rejects.toThrow(expect.objectContaining({ code: 'unsupported-model' }));
    const attributes = { num_heads: int(4), sliding_window_cache: int(1), local_window_size: int(5) };
    rewriter.insert(model.graph, {
      name: 'gqa',
      op: 'GroupQueryAttention',
      domain: 'com.microsoft',
      inputs: [past],
      attributes,
    });
    expect((await feed(past, new GraphFeeder(model, none, { headDim: 8 })))?.dims).toEqual([2, 2, 5, 8]);
    const packed = { layer: 1, role: 'qkv', n: (4 + 2 * 2) * 32 } as ModelAnalysis['projections'][number];
    expect((await feed(past, new GraphFeeder(model, { ...none, projections: [packed] })))?.dims).toEqual([2, 2, 5, 32]);
  });
});

describe('batchesOf', () => {
  it('puts windows of equal length together and keeps their order', () => {
    const batches = batchesOf([[1], [2, 2], [3], [4], [5, 5]], 2);
    expect(batches.map(({ index, length, windows }) => [index, length, windows.map((window) => window[0])])).toEqual([
      [0, 1, [1, 3]],
      [1, 1, [4]],
      [2, 2, [2, 5]],
    ]);
  });

  it('gives rows of weights for the first position', () => {
    const [made] = batchesOf([
      [1, 2],
      [3, 4],
    ]);
    expect(rowScaleOf(made as NonNullable<typeof made>, 0.25)).toEqual(Float32Array.of(0.5, 1, 0.5, 1));
    expect(weightOf(made as NonNullable<typeof made>, 0.25)).toBe(2.5);
  });
});
