/** A head that repeats the embedding in a wider type, as optimum writes Gemma with fp16: one table is left, the numbers stay. */
import { describe, expect, it } from '@jest/globals';
import { shareTiedHead } from '../../passes/share-tied-head.js';
import { int } from '../../src/onnx/ir/attribute.js';
import type { Model } from '../../src/onnx/ir/graph.js';
import { float16ToFloat32, float32ToFloat16 } from '../../src/onnx/ir/half.js';
import { float32s, tensorOf } from '../../src/onnx/ir/tensor.js';
import { GraphBuilder } from '../../src/onnx/rewrite/builder.js';
import { integers } from '../../src/runtime/runtime.js';
import { noise } from '../support/decoder.js';
import { expectSameNumbers } from '../support/numeric.js';

const [ROWS, HIDDEN] = [12, 8];
const halves = float32ToFloat16(noise(ROWS * HIDDEN, 1));
const values = float16ToFloat32(halves);
const turned = values.map((_, at) => values[(at % ROWS) * HIDDEN + Math.floor(at / ROWS)] as number);

function model(head: Float32Array): Model {
  const b = new GraphBuilder({ opset: 18 });
  const table = b.constant(tensorOf('float16', [ROWS, HIDDEN], halves), 'table');
  const rows = b.op('Gather', [table, b.input('ids', 'int64', ['n'])]);
  const x = b.op('Cast', [rows], { to: int(1) });
  const logits = b.op('MatMul', [x, b.constant(float32s(head, [HIDDEN, ROWS]), 'head')]);
  b.output(logits, 'logits', { dtype: 'float32', shape: ['n', ROWS] });
  return b.model();
}

describe('share-tied-head', () => {
  it('casts the table where the copy is wider', async () => {
    const operators = await expectSameNumbers(shareTiedHead, model(turned), { ids: integers([3, 0, 11]) }, 0);
    expect(operators).toEqual(['Gather', 'Cast', 'Transpose', 'Cast', 'MatMul']);
  });

  it('keeps a head that float16 does not hold', async () => {
    const other = turned.map((value, at) => (at === 5 ? value * (1 + 2 ** -20) : value));
    const operators = await expectSameNumbers(shareTiedHead, model(other), { ids: integers([3, 0, 11]) }, 0);
    expect(operators).not.toContain('Transpose');
  });
});
