/** Weights from frozen codes in a training graph: values and gradients against the definition, in float64. */
import { describe, expect, it } from '@jest/globals';
import type { Step } from '../../src/autodiff/training-session.js';
import { TrainingSession } from '../../src/autodiff/training-session.js';
import { ints } from '../../src/onnx/ir/attribute.js';
import type { Value } from '../../src/onnx/ir/graph.js';
import { float32s } from '../../src/onnx/ir/tensor.js';
import { GraphBuilder } from '../../src/onnx/rewrite/builder.js';
import { blocksOf } from '../../src/quant/grid.js';
import { decodeTable } from '../../src/quant/tables.js';
import { ortRuntime } from '../../src/runtime/ort.js';
import { floats } from '../../src/runtime/runtime.js';
import { meanSquaredError } from '../../src/train/losses.js';
import {
  type CentredColumns,
  centredColumns,
  centreOf,
  columnFeeds,
  decodeColumns,
  type FrozenCodes,
  replaceWeight,
  tableWeight,
} from '../../src/train/table-parameters.js';
import { noise } from '../support/decoder.js';

const ROWS = 3;
const N = 5;

interface Problem {
  readonly codes: FrozenCodes;
  readonly columns: CentredColumns;
  readonly x: Float32Array;
  readonly target: Float32Array;
}

function problemOf(k: number, block: number | 'channel', hasOffset: boolean): Problem {
  const blocks = blocksOf(k, block);
  const codes = Uint8Array.from(noise(N * k, 1), (value) => Math.floor((value + 0.5) * 4));
  const scale = noise(N * blocks.count, 2);
  const offset = noise(N * blocks.count, 3);
  const frozen = { name: 'down', n: N, codes, blocks, centre: centreOf(hasOffset ? 'ab' : 'signed', 2), hasOffset };
  const table = { scale, offset: hasOffset ? offset : scale.map((a) => -2 * a) };
  return { codes: frozen, columns: centredColumns(table, frozen), x: noise(ROWS * k, 4), target: noise(ROWS * N, 5) };
}

/** One step of ||x . W - target||² / count, with W in the layout that its reader wants. */
async function step({ codes, columns, x, target }: Problem, layout: 'KN' | 'NK'): Promise<Step> {
  const { k } = codes.blocks;
  const b = new GraphBuilder();
  const input = b.input('x', 'float32', [ROWS, k]);
  const w = b.constant(float32s(noise(N * k, 6), layout === 'KN' ? [k, N] : [N, k]), 'w');
  const read = layout === 'KN' ? w : b.op('Transpose', [w], { perm: ints([1, 0]) });
  const y = b.output(b.op('MatMul', [input, read]), 'y', { dtype: 'float32', shape: [ROWS, N] });
  const model = b.model();
  const feeds = { x: floats(x, [ROWS, k]), target: floats(target, [ROWS, N]), ...columnFeeds(columns, codes) };
  const session = await TrainingSession.open(
    ortRuntime,
    {
      model,
      name: 'frozen',
      nodes: model.graph.nodes,
      fed: [input],
      parameters: [],
      build: (builder, copyOf) => {
        const wrt: Value[] = [];
        replaceWeight(builder, copyOf(w), () => {
          const made = tableWeight(builder, codes, layout);
          wrt.push(made.scale, ...(made.offset === undefined ? [] : [made.offset]));
          return made.weight;
        });
        return { loss: meanSquaredError(builder, copyOf(y), builder.input('target', 'float32', [ROWS, N])), wrt };
      },
    },
    feeds,
    { threads: 1 },
  );
  try {
    return await session.step(feeds);
  } finally {
    await session.close();
  }
}

/** Loss and gradients by their definition. */
function expected({ codes, columns, x, target }: Problem): { loss: number; scale: Float64Array; offset: Float64Array } {
  const { blocks, centre } = codes;
  const { k, count, block } = blocks;
  const weights = decodeTable(codes.codes, blocks, decodeColumns(columns, codes));
  const scale = new Float64Array(N * count);
  const offset = new Float64Array(N * count);
  let loss = 0;
  for (let row = 0; row < ROWS; row++) {
    for (let n = 0; n < N; n++) {
      let y = 0;
      for (let at = 0; at < k; at++) y += (x[row * k + at] as number) * (weights[n * k + at] as number);
      const error = y - (target[row * N + n] as number);
      loss += error ** 2 / (ROWS * N);
      for (let at = 0; at < k; at++) {
        const slope = ((2 * error) / (ROWS * N)) * (x[row * k + at] as number);
        const entry = n * count + Math.floor(at / block);
        scale[entry] = (scale[entry] as number) + slope * ((codes.codes[n * k + at] as number) - centre);
        offset[entry] = (offset[entry] as number) + slope;
      }
    }
  }
  return { loss, scale, offset };
}

const CASES = [
  ['whole blocks', 32, 16, true],
  ['a short last block', 44, 16, true],
  ['one scale a row', 20, 'channel', true],
  ['scales alone', 32, 16, false],
] as const;

describe.each(['KN', 'NK'] as const)('a weight [%s] of frozen codes', (layout) => {
  it.each(CASES)('has the gradients of its table: %s', async (_, k, block, hasOffset) => {
    const problem = problemOf(k, block, hasOffset);
    const { loss, gradients } = await step(problem, layout);
    const { loss: wanted, scale, offset } = expected(problem);
    expect(loss).toBeCloseTo(wanted, 5);
    const found = hasOffset ? [scale, offset] : [scale];
    expect(gradients).toHaveLength(found.length);
    found.forEach((column, at) => {
      column.forEach((value, i) => expect(gradients[at]?.[i]).toBeCloseTo(value, 4));
    });
  });
});

describe('centred columns', () => {
  it('lie in the middle of the codes, and give the table back', () => {
    const { codes } = problemOf(32, 16, true);
    const table = { scale: Float32Array.of(2, -1), offset: Float32Array.of(0.5, 4) };
    expect(centredColumns(table, codes).offset).toEqual(Float32Array.of(3.5, 2.5));
    expect(decodeColumns(centredColumns(table, codes), codes)).toEqual(table);
    expect(centreOf('signed', 2)).toBe(2);
  });
});
