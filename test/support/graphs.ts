/** Builders of tiny models out of the spellings of exporters. */
import { graph as graphAttribute, int, ints } from '../../src/onnx/ir/attribute.js';
import type { Graph, Model, Value } from '../../src/onnx/ir/graph.js';
import { float32s, type Tensor } from '../../src/onnx/ir/tensor.js';
import { GraphBuilder } from '../../src/onnx/rewrite/builder.js';
import {
  type Attention,
  activations,
  attentions,
  FFN,
  HIDDEN,
  type Linear,
  linears,
  matrix,
  norm,
  transposed,
  type Unary,
  VOCABULARY,
} from './spellings.js';

export interface FfnForm {
  readonly linear?: Linear;
  readonly activation?: Unary;
  /** up * act instead of act * up. */
  readonly swapped?: boolean;
  /** What stands between the Mul and down. */
  readonly between?: Unary;
  readonly irVersion?: number;
}

/** down( f(gate(x)) * up(x) ). Weight names are g, u, d with `suffix`. */
export function ffn(b: GraphBuilder, x: Value, form: FfnForm = {}, suffix = ''): Value {
  const { linear = linears.direct, activation = activations['sigmoid and mul'][1], between } = form;
  const gate = linear(b, x, matrix(HIDDEN, FFN, 1), `g${suffix}`);
  const up = linear(b, x, matrix(HIDDEN, FFN, 2), `u${suffix}`);
  const bent = activation(b, gate);
  const gated = b.op('Mul', form.swapped ? [up, bent] : [bent, up]);
  return linear(b, between === undefined ? gated : between(b, gated), matrix(FFN, HIDDEN, 3), `d${suffix}`);
}

/** One block with a residual, from hidden states to hidden states. */
export function ffnModel(form: FfnForm = {}): Model {
  const b = new GraphBuilder(form.irVersion === undefined ? { opset: 24 } : { opset: 18, irVersion: form.irVersion });
  const x = b.input('x', 'float32', [1, 'sequence', HIDDEN]);
  const y = b.op('Add', [x, ffn(b, b.op('Relu', [x]), form)]);
  b.output(y, 'y', { dtype: 'float32', shape: [1, 'sequence', HIDDEN] });
  return b.model();
}

/** How the head comes by its weight, and the embedding by its table. */
export type Tie = 'tied' | 'head owns' | 'copy' | 'untied' | 'bare';

export interface DecoderForm {
  readonly layers?: number;
  readonly attention?: Attention;
  readonly ffn?: FfnForm;
  readonly tie?: Tie;
  readonly opset?: number;
}

/** Embedding and head over one, two or copied tables [V, H]. */
function tables(b: GraphBuilder, tie: Tie): readonly [embedding: Value, head: Value] {
  const table = matrix(VOCABULARY, HIDDEN, 99);
  const flip = (value: Value): Value => b.op('Transpose', [value]);
  const own = b.constant(tie === 'head owns' ? transposed(table) : table, 'table');
  if (tie === 'head owns') return [flip(own), own];
  if (tie === 'tied') return [own, flip(own)];
  const other = tie === 'copy' ? transposed(table) : matrix(HIDDEN, VOCABULARY, 5);
  return [own, b.constant(other, 'head')];
}

/** input_ids to capped logits. */
export function decoderModel(form: DecoderForm = {}): Model {
  const { layers = 2, attention = attentions.decomposed, tie = 'tied', opset = 23 } = form;
  const b = new GraphBuilder({ opset });
  const ids = b.input('input_ids', 'int64', ['batch_size', 'sequence_length']);
  body(b, ids, tables(b, tie), layers, attention, form.ffn ?? {});
  return b.model();
}

function body(
  b: GraphBuilder,
  ids: Value,
  [table, head]: readonly [Value, Value],
  layers: number,
  attention: Attention,
  form: FfnForm,
  output = 'logits',
): void {
  const ones = float32s(new Float32Array(HIDDEN).fill(1));
  let x = b.op('Mul', [b.op('Gather', [table, ids]), b.scalar(2.83)]);
  for (let layer = 0; layer < layers; layer++) {
    x = b.op('Add', [x, attention(b, norm(b, x, ones), layer)]);
    x = b.op('Add', [x, ffn(b, norm(b, x, ones), form, String(layer))]);
  }
  const logits = b.op('MatMul', [norm(b, x, ones), head], {}, { name: 'head' });
  const capped = b.op('Mul', [b.op('Tanh', [b.op('Mul', [logits, b.scalar(1 / 30)])]), b.scalar(30)]);
  b.output(capped, output, { dtype: 'float32', shape: ['batch_size', 'sequence_length', VOCABULARY] });
}

/** A merged decoder: both branches of one If read the same outer weights under the same inner names. */
export function mergedModel(layers = 2): Model {
  const b = new GraphBuilder({ opset: 18 });
  const ids = b.input('input_ids', 'int64', ['batch_size', 'sequence_length']);
  const useCache = b.input('use_cache_branch', 'bool', [1]);
  const shared = new Map<string, Value>();
  const [table, head] = tables(b, 'tied');
  const hoisted: Linear = (inner, x, w, name) => {
    const value = shared.get(name) ?? b.constant(w, `${name}_merged_0`);
    shared.set(name, value);
    return inner.op('MatMul', [x, value], {}, { name });
  };
  const branch = (name: string): Graph =>
    b.branch(name, (inner) => {
      body(
        inner,
        ids,
        [table, head],
        layers,
        (c, x, layer) => hoistedAttention(c, x, layer, hoisted),
        {
          linear: hoisted,
        },
        'branch_logits',
      );
    });
  const branches = [branch('then'), branch('else')].map(graphAttribute) as [
    ReturnType<typeof graphAttribute>,
    ReturnType<typeof graphAttribute>,
  ];
  const logits = b.op(
    'If',
    [useCache],
    { then_branch: branches[0], else_branch: branches[1] },
    { name: 'optimum::if' },
  );
  b.output(logits, 'logits', { dtype: 'float32', shape: ['batch_size', 'sequence_length', VOCABULARY] });
  return b.model();
}

function hoistedAttention(b: GraphBuilder, x: Value, layer: number, linear: Linear): Value {
  const weight = (role: string): Tensor => matrix(HIDDEN, HIDDEN, 10 * layer + role.charCodeAt(0));
  const [q, k, v] = ['q', 'k', 'v'].map((role) => linear(b, x, weight(role), `${role}${layer}`)) as [
    Value,
    Value,
    Value,
  ];
  const scores = b.op('MatMul', [q, b.op('Transpose', [k], { perm: ints([0, 2, 1]) })]);
  const context = b.op('MatMul', [b.op('Softmax', [scores], { axis: int(-1) }), v]);
  return linear(b, context, weight('o'), `o${layer}`);
}
