/** Two gated feed-forward blocks between an embedding and a head, without attention, at any operator set from 7 on. */
import { type Attribute, int, ints } from '../../src/onnx/ir/attribute.js';
import type { Model, Value } from '../../src/onnx/ir/graph.js';
import { float32Scalar, float32s } from '../../src/onnx/ir/tensor.js';
import { GraphBuilder } from '../../src/onnx/rewrite/builder.js';
import { noise } from './decoder.js';

export interface ToySpec {
  readonly opset?: number;
  readonly irVersion?: number;
  /** Changes a weight before it is stored; names are `0_gate`, `1_down`, `head` and so on. */
  readonly change?: (name: string, values: Float32Array) => Float32Array;
}

const [HIDDEN, INNER, VOCABULARY] = [64, 128, 96];

export function toy({ opset = 17, irVersion = 8, change = (_, values) => values }: ToySpec = {}): Model {
  const b = new GraphBuilder({ opset, irVersion });
  let seed = 1;
  const weight = (name: string, rows: number, columns: number): Value => {
    const values = noise(rows * columns, seed++).map((value) => (value * 4) / Math.sqrt(rows));
    return b.constant(float32s(change(name, values), [rows, columns]), name);
  };
  const norm = (x: Value): Value => {
    const attributes: Record<string, Attribute> = { keepdims: int(1), ...(opset < 18 && { axes: ints([-1]) }) };
    const inputs = [b.op('Mul', [x, x]), ...(opset < 18 ? [] : [b.integers([-1])])];
    const size = b.op('Sqrt', [b.op('Add', [b.op('ReduceMean', inputs, attributes), small])]);
    return b.op('Div', [x, size]);
  };
  const ids = b.input('input_ids', 'int64', ['batch', 'sequence']);
  const small = b.constant(float32Scalar(1e-6), 'epsilon');
  let x = b.op('Gather', [weight('embedding', VOCABULARY, HIDDEN), ids]);
  for (const layer of [0, 1]) {
    const y = norm(x);
    const gate = b.op('MatMul', [y, weight(`${layer}_gate`, HIDDEN, INNER)]);
    const up = b.op('MatMul', [y, weight(`${layer}_up`, HIDDEN, INNER)]);
    const product = b.op('Mul', [b.op('Mul', [gate, b.op('Sigmoid', [gate])]), up]);
    x = b.op('Add', [x, b.op('MatMul', [product, weight(`${layer}_down`, INNER, HIDDEN)])]);
  }
  const logits = b.op('MatMul', [norm(x), weight('head', HIDDEN, VOCABULARY)]);
  b.output(logits, 'logits', { dtype: 'float32', shape: ['batch', 'sequence', VOCABULARY] });
  return b.model();
}
