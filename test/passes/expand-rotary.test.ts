/** Rotary embeddings written out against the runtime's own kernels. */
import { describe, expect, it } from '@jest/globals';
import { expandRotary } from '../../passes/expand-rotary.js';
import { int } from '../../src/onnx/ir/attribute.js';
import type { Model, Value } from '../../src/onnx/ir/graph.js';
import { float32s } from '../../src/onnx/ir/tensor.js';
import { GraphBuilder } from '../../src/onnx/rewrite/builder.js';
import { runPasses, step } from '../../src/onnx/rewrite/run-passes.js';
import { floats, type HostTensor, integers } from '../../src/runtime/runtime.js';
import { noise } from '../support/decoder.js';
import { expectSameNumbers } from '../support/numeric.js';

const [BATCH, LENGTH, HEADS, WIDTH, ROWS] = [2, 5, 3, 8, 12];

interface Options {
  readonly contrib: boolean;
  readonly rank?: 3 | 4;
  readonly interleaved?: number;
  /** Numbers of a head that turn. */
  readonly turning?: number;
  /** Without, tables come with a row for each position. */
  readonly positions?: boolean;
  /** Whether the tables are made in the graph, so that their width has to be told from the heads. */
  readonly made?: boolean;
}

function rotary(options: Options): { readonly model: Model; readonly feeds: Record<string, HostTensor> } {
  const { contrib, rank = 4, interleaved = 0, turning = WIDTH, positions = true, made = false } = options;
  const b = new GraphBuilder({ opset: contrib ? 18 : 23 });
  const shape = rank === 4 ? [BATCH, HEADS, LENGTH, WIDTH] : [BATCH, LENGTH, HEADS * WIDTH];
  const feeds: Record<string, HostTensor> = { x: floats(noise(BATCH * LENGTH * HEADS * WIDTH, 1), shape) };
  const x = b.input('x', 'float32', shape);
  const [cos, sin] = [2, 3].map((seed) => {
    const dims = positions ? [ROWS, turning / 2] : [BATCH, LENGTH, turning / 2];
    const numbers = noise(
      dims.reduce((product, dim) => product * dim, 1),
      seed,
    );
    const table = b.constant(float32s(numbers, dims), `table${seed}`);
    return made ? b.op('Tanh', [table]) : table;
  }) as [Value, Value];
  const rows: Value[] = [];
  if (positions) {
    feeds.positions = integers([0, 1, 2, 3, 4, 7, 8, 9, 10, 11], [BATCH, LENGTH]);
    rows.push(b.input('positions', 'int64', [BATCH, LENGTH]));
  }
  const attributes = {
    interleaved: int(interleaved),
    num_heads: int(rank === 3 || turning < WIDTH ? HEADS : 0),
    rotary_embedding_dim: int(turning < WIDTH ? turning : 0),
  };
  const y = contrib
    ? b.op('com.microsoft::RotaryEmbedding', [x, ...rows, cos, sin], attributes)
    : b.op('RotaryEmbedding', [x, cos, sin, ...rows], attributes);
  b.output(y, 'y', { dtype: 'float32', shape });
  return { model: b.model(), feeds };
}

describe('expand-rotary, within 1e-6', () => {
  it.each<[string, Options]>([
    ['of com.microsoft', { contrib: true }],
    ['of com.microsoft, heads together', { contrib: true, rank: 3 }],
    ['of com.microsoft, neighbours', { contrib: true, interleaved: 1 }],
    ['of com.microsoft, a part of each head', { contrib: true, turning: 4 }],
    ['of ONNX', { contrib: false }],
    ['of ONNX, heads together', { contrib: false, rank: 3 }],
    ['of ONNX, neighbours of a part of each head', { contrib: false, interleaved: 1, turning: 4 }],
    ['of ONNX, a row for each position', { contrib: false, positions: false }],
    ['of ONNX, tables made in the graph', { contrib: false, positions: false, made: true }],
    ['of ONNX, tables for a part made in the graph', { contrib: false, positions: false, made: true, turning: 4 }],
  ])('%s', async (_, options) => {
    const { model, feeds } = rotary(options);
    const ops = await expectSameNumbers(expandRotary, model, feeds, 1e-6);
    expect(ops).not.toContain('RotaryEmbedding');
  });

  it('leaves positions that are one offset', () => {
    const b = new GraphBuilder();
    const x = b.input('x', 'float32', [BATCH, HEADS, LENGTH, WIDTH]);
    const [cos, sin] = [2, 3].map((seed) => b.constant(float32s(noise(ROWS * 4, seed), [ROWS, 4]), `table${seed}`));
    const y = b.op('com.microsoft::RotaryEmbedding', [x, b.input('offset', 'int64', [1]), cos, sin]);
    b.output(y, 'y', { dtype: 'float32', shape: [BATCH, HEADS, LENGTH, WIDTH] });
    expect(runPasses(b.model(), [step(expandRotary)])[0]?.changes).toEqual([]);
  });
});
