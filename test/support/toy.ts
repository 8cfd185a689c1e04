/** A model with two gated feed-forward blocks between an embedding and a head, wide enough for blocks of 32 and quick to compile. */
import { join } from 'node:path';
import { exportModel } from '../../src/onnx/convert/export.js';
import { float, int } from '../../src/onnx/ir/attribute.js';
import type { Model, Value } from '../../src/onnx/ir/graph.js';
import { float32s, type Tensor } from '../../src/onnx/ir/tensor.js';
import { GraphBuilder } from '../../src/onnx/rewrite/builder.js';
import { noise } from './decoder.js';

export const TOY = { hidden: 64, ffn: 128, vocabulary: 96, layers: 2 } as const;

/** Weights [rows, columns] of about unit gain, the same for the same seed. */
export const toyWeight = (rows: number, columns: number, seed: number): Tensor =>
  float32s(
    noise(rows * columns, seed).map((value) => (3.5 * value) / Math.sqrt(rows)),
    [rows, columns],
  );

/** Weights of one block: gate and up [hidden, ffn], down [ffn, hidden]. */
export interface BlockWeights {
  readonly gate: Tensor;
  readonly up: Tensor;
  readonly down: Tensor;
}

export const blockWeights = (layer: number): BlockWeights => ({
  gate: toyWeight(TOY.hidden, TOY.ffn, 10 * layer + 11),
  up: toyWeight(TOY.hidden, TOY.ffn, 10 * layer + 12),
  down: toyWeight(TOY.ffn, TOY.hidden, 10 * layer + 13),
});

/** A block on the normed stream x [batch, tokens, hidden]. */
export type Block = (b: GraphBuilder, x: Value, weights: BlockWeights, layer: number) => Value;

export const silu = (b: GraphBuilder, x: Value): Value => b.op('Mul', [x, b.op('Sigmoid', [x])]);

export const plainBlock: Block = (b, x, { gate, up, down }, layer) => {
  const product = (input: Value, weight: Tensor, name: string): Value =>
    b.op('MatMul', [input, b.constant(weight, `l${layer}_${name}`)], {}, { name: `l${layer}_${name}` });
  return product(b.op('Mul', [silu(b, product(x, gate, 'gate')), product(x, up, 'up')]), down, 'down');
};

export interface ToyForm {
  readonly block?: Block;
  readonly opset?: number;
  /** The residual stream at the start; by default looked up by `input_ids`. */
  readonly start?: (b: GraphBuilder) => Value;
  /** More inputs and outputs. */
  readonly more?: (b: GraphBuilder) => void;
}

export function toyModel({ block = plainBlock, opset = 18, start = lookup, more = () => {} }: ToyForm = {}): Model {
  const b = new GraphBuilder({ opset });
  const norm = (x: Value, at: number): Value => {
    const scale = b.constant(float32s(noise(TOY.hidden, 90 + at).map((value) => 1 + 0.2 * value)), `norm_${at}`);
    return b.op('LayerNormalization', [x, scale], { axis: int(-1), epsilon: float(1e-5) });
  };
  let x = start(b);
  for (let layer = 0; layer < TOY.layers; layer++)
    x = b.op('Add', [x, block(b, norm(x, layer), blockWeights(layer), layer)]);
  const head = b.constant(toyWeight(TOY.hidden, TOY.vocabulary, 7), 'head');
  const logits = b.op('MatMul', [norm(x, TOY.layers), head], {}, { name: 'head' });
  b.output(logits, 'logits', { dtype: 'float32', shape: ['batch', 'sequence', TOY.vocabulary] });
  more(b);
  return b.model();
}

export function lookup(b: GraphBuilder): Value {
  const ids = b.input('input_ids', 'int64', ['batch', 'sequence']);
  return b.op('Gather', [b.constant(toyWeight(TOY.vocabulary, TOY.hidden, 8), 'embed'), ids]);
}

/** Writes a model to `name`.onnx in a folder and returns the path. */
export const writeToy = (folder: string, name: string, model: Model): string =>
  exportModel(model, join(folder, `${name}.onnx`)).path;
