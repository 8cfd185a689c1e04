/** What Gemma 3n and 4 have beside attention and feed-forward: per-layer vectors, low-rank branches, parallel streams. */
import { int, ints } from '../../src/onnx/ir/attribute.js';
import type { Value } from '../../src/onnx/ir/graph.js';
import { toyWeight } from '../../test/support/toy.js';
import { type Parts, seedOf } from './parts.js';
import { SIZE } from './spec.js';

const { hidden, perLayer, vocabulary } = SIZE;
const RANK = 8;
const ROOT = Math.SQRT1_2;

/** Vectors of each token for each layer, [batch, tokens, layers, width]: looked up or given, and projected from the stream. */
export function perLayerVectors(parts: Parts, tokens: Value, x: Value, layers: number): Value {
  const { b } = parts;
  const wide = layers * perLayer;
  const apart = (value: Value): Value => b.op('Reshape', [value, b.integers([0, 0, layers, perLayer])]);
  const looked =
    parts.spec.perLayer === 'input'
      ? tokens
      : apart(
          b.op('Mul', [
            b.op('Gather', [table(parts, wide), tokens], {}, { name: '/embed_tokens_per_layer/Gather' }),
            b.scalar(perLayer ** 0.5),
          ]),
        );
  const projected = b.op('Mul', [
    parts.linear(x, 'per_layer_model_projection', hidden, wide),
    b.scalar(hidden ** -0.5),
  ]);
  const normed = parts.norm(apart(projected), 'per_layer_projection_norm', perLayer);
  return b.op('Mul', [b.op('Add', [normed, looked]), b.scalar(ROOT)]);
}

const table = (parts: Parts, wide: number): Value =>
  parts.constant('embed_tokens_per_layer.weight', () => toyWeight(vocabulary, wide, seedOf('per layer')));

/** What the vectors of one layer add to the stream. */
export function perLayerPart(parts: Parts, x: Value, vectors: Value, layer: number): Value {
  const { b } = parts;
  const at = `layers.${layer}`;
  const own = b.op('Gather', [vectors, b.integer(layer)], { axis: int(2) });
  const gate = parts.activate(parts.linear(x, `${at}.per_layer_input_gate`, hidden, perLayer));
  const made = parts.linear(b.op('Mul', [gate, own]), `${at}.per_layer_projection`, perLayer, hidden);
  return parts.norm(made, `${at}.post_per_layer_input_norm`, hidden);
}

/** A low-rank branch beside attention. */
export function laurel(parts: Parts, x: Value, layer: number): Value {
  const at = `layers.${layer}.laurel`;
  const low = parts.linear(x, `${at}.linear_left`, hidden, RANK);
  const made = parts.norm(parts.linear(low, `${at}.linear_right`, RANK, hidden), `${at}.norm`, hidden);
  return parts.b.op('Add', [x, made]);
}

/** Streams [2, batch, tokens, hidden] and the coefficients between them. */
export interface Streams {
  readonly all: Value;
}

/** A second stream beside x. */
export function widen(parts: Parts, x: Value): Streams {
  const { b } = parts;
  const second = parts.linear(x, 'altup_projections.0', hidden, hidden);
  const each = [x, second].map((value) => b.op('Unsqueeze', [value, b.integers([0])]));
  return { all: b.op('Concat', each, { axis: int(0) }) };
}

/** The stream that a layer works on. */
export const firstOf = ({ b }: Parts, { all }: Streams): Value => b.op('Gather', [all, b.integer(0)], { axis: int(0) });

function modalities(parts: Parts, x: Value, at: string): Value {
  const scaled = parts.b.op('Mul', [parts.norm(x, `${at}.router_norm`, hidden), parts.b.scalar(1 / hidden)]);
  return parts.b.op('Tanh', [parts.linear(scaled, `${at}.modality_router`, hidden, 2)]);
}

/** Streams as a layer expects them, with the first, on which it works. */
export function predict(
  parts: Parts,
  streams: Streams,
  layer: number,
): { readonly predicted: Streams; readonly x: Value } {
  const { b } = parts;
  const at = `layers.${layer}.altup`;
  const mix = parts.linear(modalities(parts, firstOf(parts, streams), at), `${at}.prediction_coefs`, 2, 4);
  const matrix = b.op('Transpose', [b.op('Reshape', [mix, b.integers([0, 0, 2, 2])])], { perm: ints([0, 1, 3, 2]) });
  const rows = b.op('Transpose', [streams.all], { perm: ints([1, 2, 3, 0]) });
  const moved = b.op('Transpose', [b.op('MatMul', [rows, matrix])], { perm: ints([3, 0, 1, 2]) });
  const predicted = { all: b.op('Add', [moved, streams.all]) };
  return { predicted, x: firstOf(parts, predicted) };
}

/** Streams after a layer made `activated` of the first. */
export function correct(parts: Parts, predicted: Streams, activated: Value, layer: number): Streams {
  const { b } = parts;
  const at = `layers.${layer}.altup`;
  const news = b.op('Unsqueeze', [b.op('Sub', [activated, firstOf(parts, predicted)]), b.integers([0])]);
  const shares = parts.linear(modalities(parts, activated, at), `${at}.correction_coefs`, 2, 2);
  const moved = b.op('Unsqueeze', [b.op('Transpose', [shares], { perm: ints([2, 0, 1]) }), b.integers([-1])]);
  const weights = b.op('Add', [moved, b.scalar(1)]);
  return { all: b.op('Add', [b.op('Mul', [news, weights]), predicted.all]) };
}

/** The second stream added to all but the first (Gemma 3n puts the per-layer part there), and both as one at the end. */
export function addToOthers({ b }: Parts, { all }: Streams, part: Value): Streams {
  const rows = [[0], [1]].map((from, at) =>
    b.op('Slice', [all, b.integers(from), b.integers([at + 1]), b.integers([0])]),
  ) as [Value, Value];
  return { all: b.op('Concat', [rows[0], b.op('Add', [rows[1], part])], { axis: int(0) }) };
}

export function narrow(parts: Parts, streams: Streams): Value {
  const { b } = parts;
  const second = b.op('Gather', [streams.all, b.integer(1)], { axis: int(0) });
  const back = parts.linear(second, 'altup_unembed_projections.0', hidden, hidden);
  return b.op('Mul', [b.op('Add', [firstOf(parts, streams), back]), b.scalar(0.5)]);
}
