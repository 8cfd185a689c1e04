/**
 * The end of a decoder over a few rows of last hidden states: labels drawn from the model's own output, and the gradient of their negative
 * log-likelihood. With such labels the squared gradient is an estimate of the Fisher information, the curvature of the divergence.
 */
import { type Execution, inputsOf } from '../../analysis/execution.js';
import { fail } from '../../diagnostics.js';
import { int } from '../../onnx/ir/attribute.js';
import { DTYPES } from '../../onnx/ir/dtype.js';
import type { Model, Node, Value } from '../../onnx/ir/graph.js';
import { float32s } from '../../onnx/ir/tensor.js';
import type { GraphBuilder } from '../../onnx/rewrite/builder.js';
import type { DecoderHead } from '../decoder-head.js';
import type { TrainingRequest } from '../training-graph.js';
import { meanSquares } from './mean-square.js';

/** Input: a number in [0, 1) for each row, which draws its label. */
export const DRAWS = 'label_draws';
/** Input: 1 for rows that count, 0 for others. */
export const COUNTED = 'counted_rows';

/** The part of a model behind the last hidden state. */
export interface HeadPart {
  readonly nodes: readonly Node[];
  readonly graphInputs: readonly Value[];
}

/** Everything between the last hidden state and the logits. */
export function headPart({ nodes, resolve }: Execution, { hidden, logits }: DecoderHead): HeadPart {
  const found = new Set<Node>();
  const graphInputs = new Set<Value>();
  const open = [logits];
  for (let next = open.pop(); next !== undefined; next = open.pop()) {
    const value = resolve(next);
    if (value === hidden) continue;
    if (value.isInput && value.initializer === undefined) graphInputs.add(value);
    if (value.producer === undefined || found.has(value.producer)) continue;
    found.add(value.producer);
    open.push(...inputsOf(value.producer));
  }
  return { nodes: nodes.filter((node) => found.has(node)), graphInputs: [...graphInputs] };
}

/**
 * Gradients by the hidden state [..., K] of so many dimensions (`rank`) and, where the head is weighed itself, by the logits as mean squares
 * [rows, 1].
 */
export function headRequest(
  model: Model,
  execution: Execution,
  head: DecoderHead,
  part: HeadPart,
  { rank, isWeighed }: { readonly rank: number; readonly isWeighed: boolean },
): TrainingRequest {
  const { hidden, logits, projection } = head;
  return {
    model,
    name: 'head',
    nodes: part.nodes,
    fed: [...part.graphInputs, hidden],
    parameters: [],
    resolve: execution.resolve,
    build: (b, copyOf) => {
      const output = copyOf(logits);
      return {
        loss: sampledLoss(b, output, projection.n, rank),
        wrt: [copyOf(hidden), ...(isWeighed ? [output] : [])],
        reduce: (value, gradient) => (value === output ? meanSquares(b, gradient, projection.n, 1) : undefined),
      };
    },
  };
}

/** Σ − log p of labels that are drawn from p. */
function sampledLoss(b: GraphBuilder, logits: Value, vocabulary: number, rank: number): Value {
  if (b.opset < 13) fail('unsupported-model', logits.name, 'Labels are drawn with operators of operator set 13');
  const dims = rank > 2 ? [1, 'rows', 1] : ['rows', 1];
  const draws = b.input(DRAWS, 'float32', dims);
  const counted = b.input(COUNTED, 'float32', dims);
  const log = b.op('LogSoftmax', [logits], { axis: int(-1) });
  const cumulative = b.op('CumSum', [b.op('Exp', [log]), b.integer(-1)]);
  const isBelow = b.op('Cast', [b.op('Less', [cumulative, draws])], { to: int(DTYPES.float32.onnx) });
  const count = b.op('ReduceSum', [isBelow, b.integers([-1])], { keepdims: int(0) });
  // The sum of all probabilities may round to less than a draw.
  const label = b.op('Cast', [b.op('Min', [count, b.scalar(vocabulary - 1)])], { to: int(DTYPES.int64.onnx) });
  const values = b.constant(float32s(Float32Array.of(0, -1)), 'label_values');
  const drawn = b.op('OneHot', [label, b.integer(vocabulary), values], { axis: int(-1) });
  const terms = b.op('Mul', [log, b.op('matquant::StopGradient', [drawn])]);
  return b.op('ReduceSum', [b.op('Mul', [terms, counted])], { keepdims: int(0) });
}
