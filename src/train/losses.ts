/** Losses of training graphs. Each is one float32 number. */
import { int } from '../onnx/ir/attribute.js';
import type { Value } from '../onnx/ir/graph.js';
import type { GraphBuilder } from '../onnx/rewrite/builder.js';

/** Mean over all elements of (y - target)^2. */
export function meanSquaredError(b: GraphBuilder, y: Value, target: Value): Value {
  const error = b.op('Sub', [y, target]);
  return meanOf(b, b.op('Mul', [error, error]));
}

/**
 * Mean over positions of KL(p || q) in nats, where log q = LogSoftmax(logits) and `teacher` is log p, both [..., vocabulary]
 * (Hinton et al. 2015, at temperature 1).
 */
export function divergence(b: GraphBuilder, logits: Value, teacher: Value): Value {
  const student = b.op('LogSoftmax', [logits], { axis: int(-1) });
  const terms = b.op('Mul', [b.op('Exp', [teacher]), b.op('Sub', [teacher, student])]);
  return meanOf(b, b.op('ReduceSum', [terms, b.integers([-1])], { keepdims: int(0) }));
}

/** Without axes every one is reduced, in all operator sets. */
const meanOf = (b: GraphBuilder, value: Value): Value => b.op('ReduceMean', [value], { keepdims: int(0) });
