/** A gated block as an exporter writes it, and what training needs of it. */
import { type Execution, executionOf } from '../../src/analysis/execution.js';
import { analyse } from '../../src/analysis/projections.js';
import type { Model } from '../../src/onnx/ir/graph.js';
import { float32s } from '../../src/onnx/ir/tensor.js';
import { GraphBuilder } from '../../src/onnx/rewrite/builder.js';
import { findTrainBlocks, type TrainBlock } from '../../src/train/blocks/block.js';

/** Rows [n, k] of each projection. */
export interface BlockWeights {
  readonly hidden: number;
  readonly ffn: number;
  readonly gate: Float32Array;
  readonly up: Float32Array;
  readonly down: Float32Array;
}

export interface BuiltBlock {
  readonly model: Model;
  readonly execution: Execution;
  readonly block: TrainBlock;
}

/** `KN` stores weights for MatMul; `NK` behind a Transpose, as PyTorch's exporter leaves them. */
export function gatedBlock(weights: BlockWeights, layout: 'KN' | 'NK' = 'KN'): BuiltBlock {
  const { hidden, ffn, gate, up, down } = weights;
  const b = new GraphBuilder();
  const x = b.input('x', 'float32', ['batch', 'length', hidden]);
  const product = (input: typeof x, rows: Float32Array, k: number, n: number, name: string): typeof x => {
    if (layout === 'KN') return b.op('MatMul', [input, b.constant(float32s(transposed(rows, n, k), [k, n]), name)]);
    return b.op('MatMul', [input, b.op('Transpose', [b.constant(float32s(rows, [n, k]), name)])]);
  };
  const gated = product(x, gate, hidden, ffn, 'gate');
  const active = b.op('Mul', [gated, b.op('Sigmoid', [gated])]);
  const wide = b.op('Mul', [active, product(x, up, hidden, ffn, 'up')]);
  b.output(product(wide, down, ffn, hidden, 'down'), 'y', { dtype: 'float32', shape: ['batch', 'length', hidden] });
  const model = b.model();
  const execution = executionOf(model.graph);
  const { blocks } = findTrainBlocks(execution, analyse(model).projections);
  return { model, execution, block: blocks[0] as TrainBlock };
}

export function transposed(values: Float32Array, rows: number, columns: number): Float32Array {
  return values.map((_, at) => values[(at % rows) * columns + Math.floor(at / rows)] as number);
}
