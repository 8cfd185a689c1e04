/** Decoders of two small layers by architecture and exporter, with weights that mean nothing. */
import { graph as graphAttribute, ints } from '../../src/onnx/ir/attribute.js';
import type { Model, Value } from '../../src/onnx/ir/graph.js';
import { GraphBuilder } from '../../src/onnx/rewrite/builder.js';
import { transposed } from '../../test/support/spellings.js';
import { toyWeight } from '../../test/support/toy.js';
import { attention, type Keys } from './attention.js';
import { feedForward } from './feed-forward.js';
import * as gemma from './gemma3n.js';
import { Parts, type Stream, seedOf } from './parts.js';
import { type Positions, positionsOf } from './positions.js';
import { type Architecture, type Exporter, SIZE } from './spec.js';

const { hidden, vocabulary, width, perLayer } = SIZE;
const LAYERS = 2;

/** What the graph is fed with. */
interface Inputs {
  readonly tokens: Value;
  readonly mask: Value;
  readonly perLayer: Value | undefined;
  readonly pasts: readonly Keys[];
}

/** Logits, and what renews the caches. */
interface Outputs {
  readonly logits: Value;
  readonly keys: readonly Keys[];
}

/** The decoder as it was exported, before anything is done with it. */
export function decoderOf(spec: Architecture, form: Exporter): Model {
  const b = new GraphBuilder({ opset: form.opset, name: 'main_graph' });
  const parts = new Parts(b, spec, form);
  const inputs = inputsOf(parts);
  const made = form.merged ? merged(parts, inputs) : body(parts, inputs, inputs.pasts);
  const groups = spec.kvHeads ?? 2;
  b.output(made.logits, 'logits', { dtype: 'float32', shape: ['batch_size', 'sequence_length', vocabulary] });
  made.keys.forEach((keys, layer) => {
    const shape = ['batch_size', groups, 'total_sequence_length', width];
    for (const name of ['key', 'value'] as const)
      b.output(keys[name], `present.${layer}.${name}`, { dtype: 'float32', shape });
  });
  return b.model();
}

function inputsOf({ b, spec, form }: Parts): Inputs {
  const lead = ['batch_size', 'sequence_length'];
  const tokens = spec.vectors
    ? b.input('inputs_embeds', 'float32', [...lead, hidden])
    : b.input('input_ids', 'int64', lead);
  const mask = b.input('attention_mask', 'int64', ['batch_size', 'total_sequence_length']);
  const given =
    spec.perLayer === 'input' ? b.input('per_layer_inputs', 'float32', [...lead, LAYERS, perLayer]) : undefined;
  const shape = ['batch_size', spec.kvHeads ?? 2, 'past_sequence_length', width];
  const past = (layer: number, name: string): Value => b.input(`past_key_values.${layer}.${name}`, 'float32', shape);
  const count = form.cache ? cachesOf(spec) : 0;
  const pasts = Array.from({ length: count }, (_, layer) => ({ key: past(layer, 'key'), value: past(layer, 'value') }));
  return { tokens, mask, perLayer: given, pasts };
}

const cachesOf = (spec: Architecture): number => (spec.sharedKeys ? 1 : LAYERS);

/** Both forms of the decoder in the branches of an If, as optimum writes it. */
function merged(parts: Parts, inputs: Inputs): Outputs {
  const { b, spec } = parts;
  const useCache = b.input('use_cache_branch', 'bool', [1]);
  const branch = (name: string, pasts: readonly Keys[]) =>
    b.branch(name, (inner) => {
      const { logits, keys } = body(parts.inside(inner), inputs, pasts);
      for (const [at, value] of [logits, ...keys.flatMap(({ key, value }) => [key, value])].entries())
        inner.output(value, `${name}.${at}`, { dtype: 'float32', shape: undefined });
    });
  const attributes = {
    then_branch: graphAttribute(branch('with_past', inputs.pasts)),
    else_branch: graphAttribute(branch('no_past', [])),
  };
  const [logits, ...rest] = b.ops('If', [useCache], 1 + 2 * cachesOf(spec), attributes) as [Value, ...Value[]];
  const keys = Array.from({ length: cachesOf(spec) }, (_, at) => ({
    key: rest[2 * at] as Value,
    value: rest[2 * at + 1] as Value,
  }));
  return { logits, keys };
}

function body(parts: Parts, inputs: Inputs, pasts: readonly Keys[]): Outputs {
  const { spec, form } = parts;
  const positions = positionsOf(parts, inputs.tokens, inputs.mask, pasts[0]?.key);
  const start = embedded(parts, inputs.tokens);
  const vectors = spec.perLayer && gemma.perLayerVectors(parts, inputs.perLayer ?? inputs.tokens, start, LAYERS);
  const keys: Keys[] = [];
  const run = (stream: Stream, layer: number): Stream => {
    const made = layerOf(parts, stream, { layer, positions, past: pasts[layer], keys });
    if (made.keys !== undefined) keys.push(made.keys);
    return made.stream;
  };
  const x = spec.altUp ? inStreams(parts, start, vectors as Value, run) : inOne(parts, start, vectors, run);
  const logits = head(parts, x);
  return { logits, keys: form.cache ? keys.slice(0, cachesOf(spec)) : [] };
}

function embedded(parts: Parts, tokens: Value): Value {
  const { b, spec } = parts;
  if (spec.vectors) return tokens;
  const x = b.op('Gather', [tableOf(parts), tokens], {}, { name: '/embed_tokens/Gather' });
  return spec.embeddingScale === undefined ? x : b.op('Mul', [x, b.scalar(spec.embeddingScale)]);
}

const tableOf = (parts: Parts): Value =>
  parts.constant('embed_tokens.weight', () => toyWeight(vocabulary, hidden, seedOf('embedding')));

type Run = (stream: Stream, layer: number) => Stream;

/** The layers on one stream. */
function inOne(parts: Parts, start: Value, vectors: Value | undefined, run: Run): Stream {
  let stream: Stream = { residual: start };
  for (let layer = 0; layer < LAYERS; layer++) {
    stream = run(stream, layer);
    if (vectors === undefined) continue;
    const sum = wholeOf(parts, stream);
    stream = { residual: sum, added: gemma.perLayerPart(parts, sum, vectors, layer) };
  }
  return stream;
}

/** The layers on the first of two streams. */
function inStreams(parts: Parts, start: Value, vectors: Value, run: Run): Stream {
  let streams = gemma.widen(parts, start);
  for (let layer = 0; layer < LAYERS; layer++) {
    const { predicted, x } = gemma.predict(parts, streams, layer);
    const made = wholeOf(parts, run({ residual: x }, layer));
    const corrected = gemma.correct(parts, predicted, made, layer);
    const part = gemma.perLayerPart(parts, gemma.firstOf(parts, corrected), vectors, layer);
    streams = gemma.addToOthers(parts, corrected, part);
  }
  return { residual: gemma.narrow(parts, streams) };
}

const wholeOf = ({ b }: Parts, { residual, added }: Stream): Value =>
  added === undefined ? residual : b.op('Add', [residual, added]);

interface At {
  readonly layer: number;
  readonly positions: Positions;
  readonly past: Keys | undefined;
  /** Keys of the layers before. */
  readonly keys: readonly Keys[];
}

function layerOf(
  parts: Parts,
  stream: Stream,
  { layer, positions, past, keys }: At,
): { stream: Stream; keys: Keys | undefined } {
  const { b, spec } = parts;
  const at = `layers.${layer}`;
  const shared = spec.sharedKeys && layer === LAYERS - 1 ? keys.at(-1) : undefined;
  const before = parts.streamNorm(stream, `${at}.input_layernorm`, hidden);
  const made = attention(parts, before.normed, { layer, positions, past, shared });
  const post = (x: Value, name: string): Value => (spec.postNorms ? parts.norm(x, `${at}.${name}`, hidden) : x);
  const scaled = (x: Value): Value =>
    spec.residualScale === undefined ? x : b.op('Mul', [x, b.scalar(spec.residualScale)]);
  const own = shared === undefined ? made.keys : undefined;
  const attended = scaled(post(made.output, 'post_attention_layernorm'));
  if (spec.parallel) {
    const both = b.op('Add', [attended, scaled(feedForward(parts, before.normed, layer))]);
    return { stream: { residual: before.sum, added: both }, keys: own };
  }
  const middle = spec.laurel ? averaged(parts, before, attended, layer) : { residual: before.sum, added: attended };
  const name = spec.postNorms ? 'pre_feedforward_layernorm' : 'post_attention_layernorm';
  const after = parts.streamNorm(middle, `${at}.${name}`, hidden);
  const added = scaled(post(feedForward(parts, after.normed, layer), 'post_feedforward_layernorm'));
  return { stream: { residual: after.sum, added }, keys: own };
}

/** Attention and the low-rank branch over the root of two. */
function averaged(
  parts: Parts,
  before: { readonly normed: Value; readonly sum: Value },
  attended: Value,
  layer: number,
): Stream {
  const { b } = parts;
  const sum = b.op('Add', [b.op('Add', [before.sum, attended]), gemma.laurel(parts, before.normed, layer)]);
  return { residual: b.op('Mul', [sum, b.scalar(Math.SQRT1_2)]) };
}

function head(parts: Parts, stream: Stream): Value {
  const { b, spec, form } = parts;
  const { normed } = parts.streamNorm(stream, 'norm', hidden);
  const product = (weight: Value): Value => b.op('MatMul', [normed, weight], {}, { name: '/lm_head/MatMul' });
  const tied = (): Value => {
    const kind = form.head ?? 'transposed';
    if (kind === 'transposed') return product(b.op('Transpose', [tableOf(parts)], { perm: ints([1, 0]) }));
    if (kind === 'copy')
      return product(
        parts.constant('lm_head.weight', () => transposed(toyWeight(vocabulary, hidden, seedOf('embedding')))),
      );
    return parts.gemm(normed, () => tableOf(parts), 'lm_head', [hidden, vocabulary]);
  };
  const logits = spec.tied && !spec.vectors ? tied() : parts.linear(normed, 'lm_head', hidden, vocabulary);
  return parts.capped(logits, spec.logitCap);
}
