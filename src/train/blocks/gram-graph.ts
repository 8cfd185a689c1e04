/**
 * The training graph of a block whose projections are trained for their own outputs: with H = XᵀX / tokens of a projection's input,
 * the mean squared error of X Ŵ is tr (W − Ŵ) H (W − Ŵ)ᵀ / N exactly, so no activation is needed and a step sees the whole text.
 */

import type { TrainingRequest } from '../../autodiff/index.js';
import { int } from '../../onnx/ir/attribute.js';
import type { Model, Value } from '../../onnx/ir/graph.js';
import { float32s } from '../../onnx/ir/tensor.js';
import type { GraphBuilder } from '../../onnx/rewrite/builder.js';
import type { Precision } from '../../quant/precision.js';
import { projectionsOf, type TrainBlock } from './block.js';
import type { Student } from './block-graph.js';
import { rowsOfWeight, stopped } from './fake-quant.js';
import { precisionsOf, type Term } from './objective.js';

/** H [K, K] by the group that reads its input. */
export type Grams = ReadonlyMap<string, Float32Array>;

export function gramRequest(
  model: Model,
  block: TrainBlock,
  student: Student,
  terms: readonly Term[],
  grams: Grams,
): TrainingRequest {
  return {
    model,
    name: `${block.id}.gram`,
    nodes: [],
    fed: [],
    parameters: [],
    build: (b) => {
      const projections = projectionsOf(block);
      const exact = new Map(projections.map(({ id, weight }) => [weight.source, b.constant(weight.tensor, id)]));
      const { wrt, weights } = student.build(b, (value) => exact.get(value) ?? value);
      const quantized = new Map(precisionsOf(terms).map((bits) => [bits, weights(bits)]));
      const matrices = new Map([...grams].map(([group, h]) => [group, gramOf(b, group, h)]));
      const losses = projections.map(({ group, weight }) => {
        const rows = (value: Value | undefined): Value => rowsOfWeight(b, weight.layout, value as Value);
        const own = exact.get(weight.source) as Value;
        const at = (bits: Precision): Value => rows(quantized.get(bits)?.get(own));
        return projectionLoss(b, terms, rows(own), at, matrices.get(group) as Value);
      });
      return { loss: losses.reduce((sum, each) => b.op('Add', [sum, each])), wrt };
    },
  };
}

function gramOf(b: GraphBuilder, group: string, h: Float32Array): Value {
  const k = Math.sqrt(h.length);
  return b.constant(float32s(h, [k, k]), `${group}/gram`);
}

/** Σ weight · tr D H Dᵀ / tr W H Wᵀ over terms, of weights [n, k]. */
function projectionLoss(
  b: GraphBuilder,
  terms: readonly Term[],
  exact: Value,
  at: (bits: Precision) => Value,
  gram: Value,
): Value {
  const energyOf = (rows: Value): Value =>
    b.op('ReduceSum', [b.op('Mul', [b.op('MatMul', [rows, gram]), rows])], { keepdims: int(0) });
  const weighted = terms.map(({ bits, weight, target }) => {
    const aim = target === 'float' ? exact : stopped(b, at(target));
    return b.op('Mul', [energyOf(b.op('Sub', [aim, at(bits)])), b.scalar(weight)]);
  });
  const sum = weighted.reduce((total, each) => b.op('Add', [total, each]));
  return b.op('Div', [sum, b.op('Max', [energyOf(exact), b.scalar(1e-20)])]);
}
