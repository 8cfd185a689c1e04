/**
 * What a batch of windows puts into the inputs of a decoder: each window from an empty cache, positions from 0, nothing
 * masked. Unlike `runtime/feeds.ts` this works for any part of a graph and any number of windows; what the graph's inputs do
 * not say of a cache's shape is read from its attention nodes and projections.
 */
import { elementTypeOf } from '../analysis/element-types.js';
import type { ModelAnalysis } from '../analysis/projection.js';
import { fail } from '../diagnostics.js';
import type { Model, Node, Value } from '../onnx/ir/graph.js';
import { intAttribute } from '../onnx/ir/graph.js';
import { emptyCache } from '../runtime/cache-ports.js';
import type { DecoderHints } from '../runtime/hints.js';
import { type Port, rolesOf, type Understood } from '../runtime/input-roles.js';
import { valueFor } from '../runtime/input-values.js';
import { type HostTensor, integers, zeros } from '../runtime/runtime.js';
import { openEmbedding, type TokenEmbedding } from '../runtime/token-embedding.js';
import type { Batch } from '../text/index.js';
import type { Edge } from './segment-model.js';

/** An input or output of a graph as the table of roles takes it. */
export const portOf = ({ name, type }: Value): Port => ({ name, dtype: type?.dtype, dims: type?.shape });

/** What is known of the inputs that a caller must feed. */
export function graphRoles({ graph }: Model): ReadonlyMap<string, Understood> {
  const fed = graph.inputs.filter(({ initializer }) => initializer === undefined);
  return rolesOf(fed.map(portOf), graph.outputs.map(portOf));
}

/** Values that a graph reads, with their element types. Error code `unsupported-model` where one is not known. */
export const edgesOf = (values: readonly Value[], resolve: (value: Value) => Value): readonly Edge[] =>
  values.map((value) => {
    const dtype = elementTypeOf(value, resolve);
    return { name: value.name, value, dtype: dtype ?? fail('unsupported-model', value.name, 'Its type is not known') };
  });

/** Asks for the logits of every position, in place; what statistics of layers are captured from asks for the last alone. */
export function keepAllLogits(feeds: Record<string, HostTensor>): void {
  for (const [name, { dims }] of Object.entries(feeds))
    if (/^(num_)?logits_to_keep$/.test(name)) feeds[name] = integers([0], dims);
}

export class GraphFeeder {
  readonly #model: Model;
  readonly #analysis: ModelAnalysis;
  readonly #hints: DecoderHints;
  #roles: ReadonlyMap<string, Understood> | undefined;
  #embedding: Promise<TokenEmbedding> | undefined;

  constructor(model: Model, analysis: ModelAnalysis, hints: DecoderHints = {}) {
    this.#model = model;
    this.#analysis = analysis;
    this.#hints = hints;
  }

  /** Tensors for some of the model's inputs, with vectors from the embedding model where there is one and of the token ids alone otherwise. */
  async read(edges: readonly Edge[], batch: Batch): Promise<Record<string, HostTensor>> {
    const feeds: Record<string, HostTensor> = {};
    for (const edge of edges) feeds[edge.name] = (await this.#made(edge, batch)) ?? this.#feed(edge, batch);
    return feeds;
  }

  /** Ends the use of the embedding model. */
  async close(): Promise<void> {
    const embedding = this.#embedding;
    this.#embedding = undefined;
    await (await embedding)?.close();
  }

  /** Vectors of the embedding model; undefined for an input that it does not make. */
  async #made({ value, dtype }: Edge, batch: Batch): Promise<HostTensor | undefined> {
    const path = this.#hints.embedding;
    if (path === undefined || this.#roleOf(value).role !== 'vectors') return undefined;
    this.#embedding ??= openEmbedding(path);
    const embedding = await this.#embedding;
    const port = portOf(value);
    return embedding.makes(port) ? embedding.vectors(port, dtype, batch) : undefined;
  }

  #feed({ value, dtype }: Edge, batch: Batch): HostTensor {
    const understood = this.#roleOf(value);
    if (understood.role === undefined) return fail('unsupported-model', value.name, understood.problem);
    const { role } = understood;
    const texts = { ...batch, past: 0, keep: 1, window: this.#hints.window };
    const tensor =
      role === 'cache'
        ? zeros(dtype, this.#cacheShape(value, understood.output, batch))
        : valueFor(portOf(value), role, dtype, texts);
    return tensor ?? fail('unsupported-model', value.name, `there is no way to feed the input of type ${dtype}`);
  }

  #roleOf({ name }: Value): Understood {
    this.#roles ??= graphRoles(this.#model);
    return this.#roles.get(name) ?? { problem: 'there is no way to feed this input' };
  }

  /** The shape of an empty cache: [windows, heads, length, width], or as its own dimensions say. */
  #cacheShape(value: Value, output: string | undefined, { windows }: Batch): readonly number[] {
    const { dims } = portOf(value);
    const present = this.#model.graph.outputs.find(({ name }) => name === output);
    const reader = [...value.uses].map(({ node }) => node).find((node) => node.op === 'GroupQueryAttention');
    const facts = { batch: windows.length, length: emptyLength(reader, this.#hints) };
    const heads = dims?.[1];
    const width = (): number | undefined =>
      dims?.length === 4 && typeof heads === 'number' ? this.#widthOf(value, heads, reader) : undefined;
    const renewed = present && portOf(present).dims;
    const shape =
      emptyCache(dims, renewed, { ...facts, width: undefined }) ??
      emptyCache(dims, renewed, { ...facts, width: width() });
    return shape ?? fail('unsupported-model', value.name, 'the shape of the cache is not known');
  }

  /** From the projections of its layer, or what the caller knows. */
  #widthOf({ name }: Value, heads: number, reader: Node | undefined): number | undefined {
    const layer = Number(/\d+/.exec(name)?.[0] ?? 0);
    const inLayer = this.#analysis.projections.filter((projection) => projection.layer === layer);
    const key = inLayer.find(({ role }) => role === 'k');
    if (key !== undefined) return key.n / heads;
    const packed = inLayer.find(({ role }) => role === 'qkv');
    const queries = reader === undefined ? 0 : intAttribute(reader, 'num_heads', 0);
    if (packed !== undefined && queries > 0) return packed.n / (queries + 2 * heads);
    return this.#hints.headDim;
  }
}

/** 0, or the whole buffer of a local layer whose cache is a window: an empty one is refused there. */
function emptyLength(reader: Node | undefined, hints: DecoderHints): number {
  const isWindow = reader !== undefined && intAttribute(reader, 'sliding_window_cache', 0) === 1;
  if (!isWindow) return 0;
  const window = intAttribute(reader, 'local_window_size', -1);
  return window > 0 ? window : (hints.window ?? 4096);
}
