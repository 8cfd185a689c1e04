/**
 * The end of the chain: logits of student and teacher by the same head, over a part of the vocabulary, and the divergence
 * between them. The teacher is known by its last hidden state alone, which is a hundred times smaller than its logits.
 */
import type { Projection } from '../../analysis/projection.js';
import type { DecoderHead } from '../../autodiff/index.js';
import { int } from '../../onnx/ir/attribute.js';
import { DTYPES } from '../../onnx/ir/dtype.js';
import type { Node, Value } from '../../onnx/ir/graph.js';
import { float32s, type Tensor, tensorOf } from '../../onnx/ir/tensor.js';
import type { GraphBuilder } from '../../onnx/rewrite/builder.js';
import { replaceReaders } from '../table-parameters.js';

export const TEACHER = 'teacher_hidden';
export const SHARE = 'position_share';
export const LABELS = 'next_ids';
/** Output with the student's last hidden states. */
export const HIDDEN = 'student_hidden';

/** Divergence from a teacher with the same head, or the negative log-likelihood of the text. */
export type Objective = 'divergence' | 'likelihood';

export interface HeadLoss {
  readonly head: DecoderHead;
  readonly ids: Int32Array | undefined;
  readonly objective: Objective;
}

/**
 * Σ share · loss over positions [batch, length], in nats: KL(teacher ‖ student), or the negative log-likelihood of the next id. What lies between hidden state and logits (the product,
 * soft caps) is built once more for the teacher.
 */
export function headLoss(
  b: GraphBuilder,
  copyOf: (value: Value) => Value,
  { head: { projection, hidden, logits }, ids, objective }: HeadLoss,
): Value {
  if (ids !== undefined) keepColumns(b, copyOf, projection, ids);
  const share = b.input(SHARE, 'float32', ['batch', 'length']);
  const student = b.op('LogSoftmax', [copyOf(logits)], { axis: int(-1) });
  const again = (teacher: Value): Value => replay(b, copyOf(hidden), copyOf(logits), teacher);
  const terms =
    objective === 'likelihood' ? ofLabels(b, student, projection.n) : ofTeacher(b, student, projection.k, again);
  const sums = b.op('ReduceSum', [terms, b.integers([-1])], { keepdims: int(0) });
  const loss = b.op('ReduceSum', [b.op('Mul', [sums, share])], { keepdims: int(0) });
  b.output(copyOf(hidden), HIDDEN, { dtype: 'float32', shape: ['batch', 'length', projection.k] });
  return loss;
}

/** p · (log p − log q), with the teacher's logits made by `again`. */
function ofTeacher(b: GraphBuilder, student: Value, hidden: number, again: (teacher: Value) => Value): Value {
  const logits = again(b.input(TEACHER, 'float32', ['batch', 'length', hidden]));
  const teacher = b.op('LogSoftmax', [logits], { axis: int(-1) });
  return b.op('Mul', [b.op('Exp', [teacher]), b.op('Sub', [teacher, student])]);
}

/** − log p at the next id, and 0 elsewhere. */
function ofLabels(b: GraphBuilder, student: Value, vocabulary: number): Value {
  const labels = b.input(LABELS, 'int64', ['batch', 'length']);
  const values = b.constant(float32s(Float32Array.of(0, -1)), 'label_values');
  return b.op('Mul', [student, b.op('OneHot', [labels, b.integer(vocabulary), values], { axis: int(-1) })]);
}

/** Builds everything between `from` and `to` a second time, with `instead` in the place of `from`. */
function replay(b: GraphBuilder, from: Value, to: Value, instead: Value): Value {
  const known = new Map<Value, Value>([[from, instead]]);
  const again = (value: Value): Value => {
    const found = known.get(value);
    if (found !== undefined) return found;
    const { producer } = value;
    const inputs = producer?.inputs.map((input) => input && again(input)) ?? [];
    const moved = producer?.inputs.some((input, at) => input !== inputs[at]) ?? false;
    if (producer === undefined || !moved) known.set(value, value);
    else {
      const name = producer.domain === '' ? producer.op : `${producer.domain}::${producer.op}`;
      const attributes = Object.fromEntries(producer.attributes);
      const types = producer.outputs.map(() => undefined);
      const { outputs } = b.node(name, inputs, attributes, { name: `teacher/${producer.op}`, types });
      producer.outputs.forEach((output, slot) => output && known.set(output, outputs[slot] as Value));
    }
    return known.get(value) as Value;
  };
  return again(to);
}

/** Exchanges the head's weight for the columns of some ids; an embedding that shares the tensor keeps all of it. */
function keepColumns(b: GraphBuilder, copyOf: (value: Value) => Value, projection: Projection, ids: Int32Array): void {
  const { weight, sites } = projection;
  const source = copyOf(weight.source);
  const first = new Set(sites.map(({ walk, node }) => (walk[0] ?? node).name));
  const readers = [...source.uses].filter(({ node }) => first.has(node.name));
  replaceReaders(b, source, readers, () => b.constant(columnsOf(projection, ids), 'head_columns'));
  for (const { node } of readers) forgetShapes(b, node);
}

/** What exporters noted of the shapes behind a node does not hold for fewer columns. */
function forgetShapes(b: GraphBuilder, first: Node): void {
  const seen = new Set<Node>([first]);
  for (const node of seen) {
    for (const output of node.outputs) {
      if (output?.type !== undefined) b.rewriter.setType(output, { dtype: output.type.dtype, shape: undefined });
      for (const use of output?.uses ?? []) seen.add(use.node);
    }
  }
}

/** The weight of a head for some ids, in the layout it has: [k, ids] or [ids, k]. */
function columnsOf({ weight, k, n }: Projection, ids: Int32Array): Tensor {
  const { tensor, layout } = weight;
  const size = DTYPES[tensor.dtype].bits / 8;
  const out = new Uint8Array(ids.length * k * size);
  if (layout === 'NK') {
    ids.forEach((id, at) => {
      out.set(tensor.bytes(id * k * size, (id + 1) * k * size), at * k * size);
    });
    return tensorOf(tensor.dtype, [ids.length, k], out);
  }
  for (let row = 0; row < k; row++) {
    const bytes = tensor.bytes(row * n * size, (row + 1) * n * size);
    ids.forEach((id, at) => {
      for (let byte = 0; byte < size; byte++)
        out[(row * ids.length + at) * size + byte] = bytes[id * size + byte] as number;
    });
  }
  return tensorOf(tensor.dtype, [k, ids.length], out);
}
