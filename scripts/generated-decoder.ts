/**
 * A decoder of any size in the form onnxruntime-genai writes: grouped-query attention with the rotation inside, normalizations
 * that add the residual, a gated feed-forward block with SiLU, an untied head. The weights mean nothing.
 */
import { float, int } from '../src/onnx/ir/attribute.js';
import type { DType } from '../src/onnx/ir/dtype.js';
import type { Model, Value } from '../src/onnx/ir/graph.js';
import { fromFloat32 } from '../src/onnx/ir/half.js';
import { int64Scalar, int64s, type Tensor, tensorOf } from '../src/onnx/ir/tensor.js';
import { GraphBuilder, type NamedAttributes } from '../src/onnx/rewrite/builder.js';
import { createRandom } from '../src/random.js';
import { RandomWeights, type WeightDType } from './random-weights.js';

export interface DecoderShape {
  readonly layers: number;
  readonly hidden: number;
  readonly ffn: number;
  readonly heads: number;
  readonly kvHeads: number;
  readonly vocabulary: number;
  /** Longest text: rows of the rotation tables. */
  readonly context: number;
  readonly dtype: WeightDType;
  readonly seed: number;
}

const EPSILON = { epsilon: float(1e-6) };
const THETA = 10000;

/** Weights are made while the model is written. */
export function generatedDecoder(shape: DecoderShape): Model {
  return new Decoder(shape).model();
}

class Decoder {
  readonly #shape: DecoderShape;
  readonly #width: number;
  readonly #builder: GraphBuilder = new GraphBuilder({ opset: 18, name: 'main_graph' });
  readonly #weights: RandomWeights;
  readonly #rotation: readonly Value[];

  constructor(shape: DecoderShape) {
    const { hidden, heads, kvHeads } = shape;
    this.#shape = shape;
    this.#width = hidden / heads;
    // The rotation of the attention operator works on whole vectors of 16 numbers.
    if (!Number.isInteger(heads / kvHeads) || this.#width % 16 !== 0) {
      throw new RangeError(`hidden ${hidden} does not make ${heads}/${kvHeads} heads of a multiple of 16`);
    }
    this.#weights = new RandomWeights(shape.seed, shape.dtype);
    this.#rotation = (['cos', 'sin'] as const).map((name) =>
      this.#builder.constant(this.#table(Math[name]), `${name}_cache`),
    );
  }

  model(): Model {
    const { layers, hidden, vocabulary, dtype } = this.#shape;
    const ids = this.#builder.input('input_ids', 'int64', ['batch_size', 'sequence_length']);
    const mask = this.#builder.input('attention_mask', 'int64', ['batch_size', 'total_sequence_length']);
    const pasts = Array.from({ length: layers }, (_, layer) => this.#pastOf(layer));
    const lengths = this.#lengths(mask);
    const table = this.#builder.constant(this.#weights.matrix(vocabulary, hidden, 1), 'model.embed_tokens.weight');
    let residual = this.#op('/model/embed_tokens/Gather', 'Gather', [table, ids]);
    let added: Value | undefined;
    const presents: Value[] = [];
    for (const [layer, past] of pasts.entries()) {
      const before = this.#norm(`/model/layers.${layer}/input_layernorm`, residual, added);
      const [attended, ...caches] = this.#attention(layer, before.normed, past, lengths);
      presents.push(...caches);
      const after = this.#norm(`/model/layers.${layer}/post_attention_layernorm`, before.sum, attended);
      residual = after.sum;
      added = this.#feedForward(layer, after.normed);
    }
    const { normed } = this.#norm(`/model/layers.${layers}/final_norm_layernorm`, residual, added);
    const logits = this.#project('/lm_head', normed, hidden, vocabulary);
    this.#builder.output(logits, 'logits', { dtype, shape: ['batch_size', 'sequence_length', vocabulary] });
    presents.forEach((value, at) => {
      this.#cacheOutput(value, `present.${at >> 1}.${at % 2 === 0 ? 'key' : 'value'}`);
    });
    return this.#builder.model();
  }

  #pastOf(layer: number): readonly Value[] {
    return ['key', 'value'].map((name) =>
      this.#builder.input(`past_key_values.${layer}.${name}`, this.#shape.dtype, this.#cacheShape('past')),
    );
  }

  #cacheOutput(value: Value, name: string): void {
    this.#builder.output(value, name, { dtype: this.#shape.dtype, shape: this.#cacheShape('total') });
  }

  #cacheShape(length: 'past' | 'total'): readonly (string | number)[] {
    return ['batch_size', this.#shape.kvHeads, `${length}_sequence_length`, this.#width];
  }

  /** What the attention operator wants to know: for each text its last position, and the length with the past. */
  #lengths(mask: Value): readonly Value[] {
    const at = '/model/attn_mask_reformat';
    const one = this.#builder.constant(int64s([1]), 'one');
    const counts = this.#op(`${at}/ReduceSum`, 'ReduceSum', [mask, one], { keepdims: int(0) });
    const last = this.#op(`${at}/Sub`, 'Sub', [counts, one]);
    const shape = this.#op(`${at}/Shape`, 'Shape', [mask]);
    const axis = this.#builder.constant(int64Scalar(1), 'axis');
    const total = this.#op(`${at}/Gather`, 'Gather', [shape, axis], { axis: int(0) });
    return [last, total].map((value, index) => this.#op(`${at}/Cast_${index}`, 'Cast', [value], { to: int(6) }));
  }

  /** The normalized value and the residual that goes on. */
  #norm(at: string, residual: Value, added: Value | undefined): { readonly normed: Value; readonly sum: Value } {
    const scale = this.#builder.constant(this.#scale(at), `${at.slice(1).replaceAll('/', '.')}.weight`);
    if (added === undefined) {
      const attributes = { ...EPSILON, axis: int(-1), stash_type: int(1) };
      const normed = this.#op(`${at}/LayerNorm`, 'SimplifiedLayerNormalization', [residual, scale], attributes);
      return { normed, sum: residual };
    }
    const [normed, , , sum] = this.#builder.node(
      'com.microsoft::SkipSimplifiedLayerNormalization',
      [residual, added, scale],
      EPSILON,
      { name: `${at}/SkipLayerNorm`, types: [undefined, undefined, undefined, undefined] },
    ).outputs as [Value, Value, Value, Value];
    return { normed, sum };
  }

  #attention(
    layer: number,
    x: Value,
    past: readonly Value[],
    lengths: readonly Value[],
  ): readonly [Value, Value, Value] {
    const { hidden, heads, kvHeads } = this.#shape;
    const at = `/model/layers.${layer}/attn`;
    const packed = this.#project(`${at}/qkv_proj`, x, hidden, (heads + 2 * kvHeads) * this.#width);
    const attributes = {
      num_heads: int(heads),
      kv_num_heads: int(kvHeads),
      scale: float(this.#width ** -0.5),
      do_rotary: int(1),
      rotary_interleaved: int(0),
    };
    const inputs = [packed, undefined, undefined, ...past, ...lengths, ...this.#rotation];
    const [mixed, key, value] = this.#builder.node('com.microsoft::GroupQueryAttention', inputs, attributes, {
      name: `${at}/GroupQueryAttention`,
      types: [undefined, undefined, undefined],
    }).outputs as [Value, Value, Value];
    return [this.#project(`${at}/o_proj`, mixed, hidden, hidden), key, value];
  }

  #feedForward(layer: number, x: Value): Value {
    const { hidden, ffn } = this.#shape;
    const at = `/model/layers.${layer}/mlp`;
    const gate = this.#project(`${at}/gate_proj`, x, hidden, ffn);
    const up = this.#project(`${at}/up_proj`, x, hidden, ffn);
    const sigmoid = this.#op(`${at}/act_fn/Sigmoid`, 'Sigmoid', [gate]);
    const active = this.#op(`${at}/act_fn/Mul`, 'Mul', [gate, sigmoid]);
    return this.#project(`${at}/down_proj`, this.#op(`${at}/Mul`, 'Mul', [active, up]), ffn, hidden);
  }

  #project(at: string, x: Value, k: number, n: number): Value {
    const name = `${at.slice(1).replaceAll('/', '.')}.MatMul.weight`;
    const weight = this.#builder.constant(this.#weights.matrix(k, n, k ** -0.5), name);
    return this.#op(`${at}/MatMul`, 'MatMul', [x, weight]);
  }

  #op(name: string, op: string, inputs: readonly Value[], attributes: NamedAttributes = {}): Value {
    return this.#builder.op(op, inputs, attributes, { name });
  }

  /** Scales of a normalization, around 1. */
  #scale(at: string): Tensor {
    const random = createRandom(this.#shape.seed).fork(at);
    return this.#numbers([this.#shape.hidden], () => 1 + 0.1 * random.normal());
  }

  /** cos or sin of position / theta^(2 i / width), [context, width / 2]. */
  #table(wave: (angle: number) => number): Tensor {
    const half = this.#width / 2;
    return this.#numbers([this.#shape.context, half], (at) =>
      wave(Math.floor(at / half) * THETA ** (-(at % half) / half)),
    );
  }

  #numbers(shape: readonly number[], value: (at: number) => number): Tensor {
    const dtype: DType = this.#shape.dtype;
    const length = shape.reduce((product, dim) => product * dim, 1);
    const values = Float32Array.from({ length }, (_, at) => value(at));
    return tensorOf(dtype, shape, fromFloat32(values, this.#shape.dtype));
  }
}
