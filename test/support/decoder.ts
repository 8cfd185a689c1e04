/** A small decoder that runs in ONNX Runtime, built by hand with the analysis it should get; `merged` puts it into an `If`. */
import type { ModelAnalysis, Projection, Role, Site } from '../../src/analysis/projection.js';
import { type Attribute, float, graph as graphAttribute, int, ints } from '../../src/onnx/ir/attribute.js';
import type { Graph, Model, Value } from '../../src/onnx/ir/graph.js';
import { float32ToFloat16 } from '../../src/onnx/ir/half.js';
import { newGraph, newModel, newValue, produce } from '../../src/onnx/ir/mutate.js';
import { float32s, int64Scalar, int64s, type Tensor, tensorOf } from '../../src/onnx/ir/tensor.js';
import { Rewriter } from '../../src/onnx/rewrite/rewriter.js';

export interface DecoderSpec {
  readonly layers: number;
  readonly hidden: number;
  readonly ffn: number;
  readonly vocabulary: number;
  readonly merged?: boolean;
  /** Weights and activations in float16. */
  readonly half?: boolean;
}

export interface Decoder {
  readonly model: Model;
  readonly analysis: ModelAnalysis;
  /** Weights by projection id, [K, N] row-major. */
  readonly weights: ReadonlyMap<string, Float32Array>;
}

/** Numbers in (-0.5, 0.5), the same for the same seed. */
export function noise(count: number, seed: number): Float32Array {
  let state = (seed * 2654435761 + 1) >>> 0;
  return Float32Array.from({ length: count }, () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state / 2 ** 32 - 0.5;
  });
}

type Op = (
  name: string,
  op: string,
  inputs: readonly (Value | undefined)[],
  attributes?: Record<string, Attribute>,
) => Value;

export function decoder(spec: DecoderSpec): Decoder {
  const model = newModel(newGraph('decoder'), 9, new Map([['', 18]]));
  const rewriter = new Rewriter(model);
  const main = model.graph;
  const type = { dtype: 'int64', shape: ['batch_size', 'sequence_length'] } as const;
  const ids = rewriter.addInput(main, 'input_ids', type);
  const mask = rewriter.addInput(main, 'attention_mask', type);
  const parts = new Parts(rewriter, spec);
  const outputType = {
    dtype: spec.half ? 'float16' : 'float32',
    shape: ['batch_size', 'sequence_length', spec.vocabulary],
  } as const;
  if (spec.merged !== true) {
    rewriter.addOutput(main, parts.body(main, ids, mask, 'logits'), outputType);
    return { model, analysis: parts.analysis(), weights: parts.weights };
  }
  const past = rewriter.addInput(main, 'past', { dtype: 'float32', shape: ['batch_size', 'past_length', spec.hidden] });
  const useCache = rewriter.addInput(main, 'use_cache_branch', { dtype: 'bool', shape: [1] });
  const branches = ['then_branch', 'else_branch'].map((name) => {
    const branch = newGraph(name);
    const bias = name === 'then_branch' ? past : undefined;
    rewriter.addOutput(branch, parts.body(branch, ids, mask, `${name}_logits`, bias), outputType);
    return branch;
  });
  const attributes = {
    then_branch: graphAttribute(branches[0] as Graph),
    else_branch: graphAttribute(branches[1] as Graph),
  };
  const logits = rewriter.insert(main, { name: 'optimum::if', op: 'If', inputs: [useCache], attributes });
  rewriter.addOutput(main, logits, outputType);
  return { model, analysis: parts.analysis(), weights: parts.weights };
}

/** The pieces of the decoder, sharing weights between the branches of a merged one. */
class Parts {
  readonly weights: Map<string, Float32Array> = new Map();
  readonly #sites: Map<string, Site[]> = new Map();
  readonly #shapes: Map<string, { layer: number; role: Role; k: number; n: number; group: string }> = new Map();
  readonly #constants: Map<string, Value> = new Map();
  readonly #embeddings: Site['node'][] = [];
  readonly #rewriter: Rewriter;
  readonly #spec: DecoderSpec;

  constructor(rewriter: Rewriter, spec: DecoderSpec) {
    this.#rewriter = rewriter;
    this.#spec = spec;
  }

  body(graph: Graph, ids: Value, mask: Value, output: string, past?: Value): Value {
    const { hidden, vocabulary, layers } = this.#spec;
    const op: Op = (name, kind, inputs, attributes = {}) =>
      this.#rewriter.insert(graph, { name, op: kind, inputs, attributes });
    const bias = this.#mask(op, ids, mask);
    const table = this.#constant('embed', float32s(noise(vocabulary * hidden, 1), [vocabulary, hidden]));
    let x = op('embed_tokens', 'Gather', [table, ids]);
    this.#embeddings.push(x.producer as Site['node']);
    if (past !== undefined) x = op('with_past', 'Add', [x, op('past_sum', 'ReduceSum', [past], { keepdims: int(0) })]);
    for (let layer = 0; layer < layers; layer++) x = this.#layer(op, layer, x, bias);
    const final = this.#project(op, -1, 'head', this.#norm(op, 'final', x), hidden, vocabulary, 'head-in');
    const named = newValue(graph, this.#rewriter.names.fresh(output), undefined);
    const producer = op('logits', 'Identity', [final]).producer as Site['node'];
    (producer.outputs[0] as { producer: undefined }).producer = undefined;
    produce(producer, 0, named);
    return named;
  }

  /** [1, S, S] of 0 and -1e4, causal and masked, from graph inputs and constants alone. */
  #mask(op: Op, ids: Value, mask: Value): Value {
    const length = op('length', 'Gather', [op('ids_shape', 'Shape', [ids]), this.#constant('one', int64Scalar(1))]);
    const zero = this.#constant('zero', int64Scalar(0));
    const range = op('range', 'Range', [zero, length, this.#constant('one', int64Scalar(1))]);
    const column = op('column', 'Unsqueeze', [range, this.#constant('axis1', int64s([1]))]);
    const allowed = op('allowed', 'LessOrEqual', [range, column]);
    const present = op('present', 'Unsqueeze', [
      op('mask_bool', 'Cast', [mask], { to: int(9) }),
      this.#constant('axis1', int64s([1])),
    ]);
    const both = op('both', 'And', [allowed, present]);
    return op('bias', 'Where', [both, this.#scalar('none', 0), this.#scalar('blocked', -1e4)]);
  }

  #layer(op: Op, layer: number, x: Value, bias: Value): Value {
    const { hidden, ffn } = this.#spec;
    const at = `layers.${layer}`;
    const normed = this.#norm(op, `${at}.attention`, x);
    const [q, k, v] = (['q', 'k', 'v'] as const).map((role) => {
      return this.#project(op, layer, role, normed, hidden, hidden, `${at}.attention-in`);
    }) as [Value, Value, Value];
    // A decomposed reshape as exporters write it: the shape of a heavy value, taken apart and put together again.
    const batch = op(`${at}.batch`, 'Gather', [op(`${at}.shape`, 'Shape', [q]), this.#constant('zeros', int64s([0]))]);
    const shape = op(`${at}.concat`, 'Concat', [batch, this.#constant('tail', int64s([-1, hidden]))], { axis: int(0) });
    const turned = op(`${at}.k_t`, 'Transpose', [op(`${at}.k_r`, 'Reshape', [k, shape])], { perm: ints([0, 2, 1]) });
    const scores = op(`${at}.scores`, 'Add', [op(`${at}.qk`, 'MatMul', [q, turned]), bias]);
    const mixed = op(`${at}.mixed`, 'MatMul', [op(`${at}.softmax`, 'Softmax', [scores], { axis: int(-1) }), v]);
    const o = this.#project(op, layer, 'o', mixed, hidden, hidden, `${at}.o-in`);
    const middle = op(`${at}.residual1`, 'Add', [x, o]);
    const second = this.#norm(op, `${at}.ffn`, middle);
    const gate = this.#project(op, layer, 'gate', second, hidden, ffn, `${at}.ffn-in`);
    const up = this.#project(op, layer, 'up', second, hidden, ffn, `${at}.ffn-in`);
    const silu = op(`${at}.silu`, 'Mul', [gate, op(`${at}.sigmoid`, 'Sigmoid', [gate])]);
    const gated = op(`${at}.gated`, 'Mul', [silu, up]);
    return op(`${at}.residual2`, 'Add', [
      middle,
      this.#project(op, layer, 'down', gated, ffn, hidden, `${at}.down-in`),
    ]);
  }

  #norm(op: Op, name: string, x: Value): Value {
    const scale = this.#constant(`${name}.norm`, float32s(new Float32Array(this.#spec.hidden).fill(1.5)));
    return op(`${name}.norm_out`, 'LayerNormalization', [x, scale], { axis: int(-1), epsilon: float(1e-5) });
  }

  #project(op: Op, layer: number, role: Role, input: Value, k: number, n: number, group: string): Value {
    const id = layer < 0 ? role : `layers.${layer}.${role}`;
    const data = noise(k * n, 17 + this.weights.size).map((value) => value * 0.5);
    if (!this.weights.has(id)) this.weights.set(id, data);
    const weight = this.#constant(`${id}.weight`, tensorOf('float32', [k, n], this.weights.get(id) ?? data));
    const output = op(id, 'MatMul', [input, weight]);
    const node = output.producer as Site['node'];
    const site: Site = {
      node,
      input,
      output,
      alpha: 1,
      bias: undefined,
      walk: [],
      dtype: this.#spec.half ? 'float16' : 'float32',
    };
    this.#sites.set(id, [...(this.#sites.get(id) ?? []), site]);
    this.#shapes.set(id, { layer, role, k, n, group });
    return output;
  }

  #constant(name: string, tensor: Tensor): Value {
    const stored = this.#spec.half && tensor.dtype === 'float32' ? halved(tensor) : tensor;
    const found = this.#constants.get(name) ?? this.#rewriter.initializer(this.#rewriter.model.graph, name, stored);
    this.#constants.set(name, found);
    return found;
  }

  #scalar(name: string, value: number): Value {
    return this.#constant(name, float32s(Float32Array.of(value), []));
  }

  analysis(): ModelAnalysis {
    const projections = [...this.#shapes].map(([id, shape]): Projection => {
      const source = this.#constants.get(`${id}.weight`) as Value;
      const weight = { source, tensor: source.initializer as NonNullable<Value['initializer']>, layout: 'KN' } as const;
      return { id, ...shape, weight, sites: this.#sites.get(id) ?? [] };
    });
    const source = this.#constants.get('embed') as Value;
    const weight = { source, tensor: source.initializer as NonNullable<Value['initializer']>, layout: 'NK' } as const;
    const { vocabulary, hidden, layers } = this.#spec;
    const embedding = { nodes: this.#embeddings, weight, vocabulary, hidden, head: 'untied' } as const;
    return { projections, refusals: [], embedding, tables: [], layers, activation: 'silu' };
  }
}

function halved({ shape, byteLength, bytes }: Tensor): Tensor {
  const floats = new Float32Array(bytes().slice().buffer, 0, byteLength / 4);
  return tensorOf('float16', shape, float32ToFloat16(floats));
}
