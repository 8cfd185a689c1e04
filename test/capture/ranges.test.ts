/** Largest magnitudes of activations: over all windows, of what nodes compute, and of float32 alone. */
import { join } from 'node:path';
import { beforeAll, describe, expect, it } from '@jest/globals';
import { activationRanges } from '../../src/capture/index.js';
import { exportModel } from '../../src/onnx/convert/export.js';
import { importModel } from '../../src/onnx/convert/import.js';
import { int } from '../../src/onnx/ir/attribute.js';
import { type Model, nodesOf, type Value } from '../../src/onnx/ir/graph.js';
import { float32s } from '../../src/onnx/ir/tensor.js';
import { GraphBuilder } from '../../src/onnx/rewrite/builder.js';
import { ortRuntime } from '../../src/runtime/ort.js';
import { decoder, noise } from '../support/decoder.js';
import { temporaryFolder } from '../support/paths.js';

const WIDTH = 16;
let root: string;
beforeAll(() => {
  root = temporaryFolder();
});

/** ids → table → · 3, beside the reciprocal of 7 − i → logits; the value of id i in the table is −i. */
function model(): Model {
  const b = new GraphBuilder({ opset: 18 });
  const ids = b.input('input_ids', 'int64', ['batch', 'length']);
  const table = float32s(
    Float32Array.from({ length: 8 * WIDTH }, (_, at) => -Math.floor(at / WIDTH)),
    [8, WIDTH],
  );
  const rows = b.op('Gather', [b.constant(table, 'table'), ids], {}, { name: 'rows' });
  const large = b.op('Mul', [rows, b.scalar(3)], {}, { name: 'large' });
  const infinite = b.op('Reciprocal', [b.op('Add', [rows, b.scalar(7)])], {}, { name: 'infinite' });
  const head = b.constant(float32s(new Float32Array(WIDTH * 8).fill(0.1), [WIDTH, 8]), 'head');
  const logits = b.op('MatMul', [b.op('Add', [large, infinite]), head]);
  b.output(logits, 'logits', { dtype: 'float32', shape: ['batch', 'length', 8] });
  return b.model();
}

const measured = (path: string, windows: readonly (readonly number[])[]) =>
  activationRanges(path, { runtime: ortRuntime, names: namesIn(path), windows: () => windows, threads: 1 });

const namesIn = (path: string): ReadonlySet<string> =>
  new Set([...nodesOf(importModel(path).graph)].flatMap(({ outputs }) => outputs.map((value) => value?.name ?? '')));

describe('activationRanges', () => {
  it('gives the largest magnitude over all windows, and infinity where there is one', async () => {
    const { path } = exportModel(model(), join(root, 'model.onnx'));
    const ranges = await measured(path, [[1, 2], [5, 3], [4]]);
    expect(ranges.get('rows_output')).toBe(5);
    expect(ranges.get('large_output')).toBe(15);
    expect(ranges.get('infinite_output')).toBe(0.5);
    expect((await measured(path, [[7]])).get('infinite_output')).toBe(Number.POSITIVE_INFINITY);
  });

  it('leaves out the caches of GroupQueryAttention, whose buffers need not be filled', async () => {
    const b = new GraphBuilder({ opset: 18 });
    const ids = b.input('input_ids', 'int64', ['batch', 'length']);
    const rows = b.op('Gather', [b.constant(float32s(noise(8 * WIDTH, 1), [8, WIDTH]), 'table'), ids]);
    const cache = ['batch', 1, 'past', WIDTH] as const;
    const past = ['key', 'value'].map((name) => b.input(`past_key_values.0.${name}`, 'float32', cache));
    const counts = [b.input('seqlens_k', 'int32', ['batch']), b.input('total_sequence_length', 'int32', [])];
    const types = ['attended', 'key', 'value'].map(() => undefined);
    const attributes = { num_heads: int(1), kv_num_heads: int(1) };
    const inputs = [rows, rows, rows, ...past, ...counts];
    const { outputs } = b.node('com.microsoft::GroupQueryAttention', inputs, attributes, { types });
    const [attended, ...present] = outputs.filter((value) => value !== undefined);
    b.output(attended as Value, 'logits', { dtype: 'float32', shape: ['batch', 'length', WIDTH] });
    for (const [at, name] of ['key', 'value'].entries())
      b.output(present[at] as Value, `present.0.${name}`, { dtype: 'float32', shape: ['batch', 1, 'total', WIDTH] });
    const { path } = exportModel(b.model(), join(root, 'grouped.onnx'));
    expect([...(await measured(path, [[1, 2]])).keys()]).toEqual(['Gather_output', 'logits']);
  });

  it('measures nothing of a model that computes in float16', async () => {
    const half = decoder({ layers: 1, hidden: 32, ffn: 64, vocabulary: 40, half: true });
    const { path } = exportModel(half.model, join(root, 'half.onnx'));
    expect((await measured(path, [[1, 2]])).size).toBe(0);
  });
});
