/**
 * What a batch of windows puts into the inputs of a decoder: each window from an empty cache, positions from 0, nothing
 * masked. Unlike `runtime/feeds.ts` this works for any part of a graph and any number of windows; what the graph's inputs do
 * not say of a cache's shape is read from its attention nodes and projections.
 */
import type { ModelAnalysis } from '../analysis/projection.js';
import { fail } from '../diagnostics.js';
import type { Dim, Model, Node, Value } from '../ir/graph.js';
import { intAttribute } from '../ir/graph.js';
import type { DecoderHints } from '../runtime/hints.js';
import { counts, type HostTensor, zeros } from '../runtime/runtime.js';
import type { Batch } from './batches.js';
import type { Edge } from './segment-model.js';

/** Inputs by name; all but the ids and caches are counts of some kind. */
const COUNTED: Readonly<Record<string, (batch: Batch) => { values: ArrayLike<number>; width: number }>> = {
  input_ids: ({ windows, length }) => ({ values: windows.flatMap((window) => Array.from(window)), width: length }),
  attention_mask: ({ windows, length }) => ({ values: new Uint8Array(windows.length * length).fill(1), width: length }),
  position_ids: ({ windows, length }) => ({
    values: windows.flatMap(() => [...new Array(length).keys()]),
    width: length,
  }),
  token_type_ids: ({ windows, length }) => ({ values: new Uint8Array(windows.length * length), width: length }),
};

export class GraphFeeder {
  readonly #model: Model;
  readonly #analysis: ModelAnalysis;
  readonly #hints: DecoderHints;

  constructor(model: Model, analysis: ModelAnalysis, hints: DecoderHints = {}) {
    this.#model = model;
    this.#analysis = analysis;
    this.#hints = hints;
  }

  /** Tensors for some of the model's inputs. */
  feeds(edges: readonly Edge[], batch: Batch): Record<string, HostTensor> {
    return Object.fromEntries(edges.map((edge) => [edge.name, this.#feed(edge, batch)]));
  }

  #feed({ value, dtype }: Edge, batch: Batch): HostTensor {
    const cached = /^past/.test(value.name) && value.type?.shape?.length === 4;
    const tensor = cached ? zeros(dtype, this.#cacheShape(value, batch)) : this.#counted({ value, dtype }, batch);
    return tensor ?? fail('unsupported-model', value.name, `there is no way to feed the input of type ${dtype}`);
  }

  #counted({ value, dtype }: Pick<Edge, 'value' | 'dtype'>, batch: Batch): HostTensor | undefined {
    const rank = value.type?.shape?.length ?? 0;
    if (value.name === 'cache_position') return counts(dtype, [...new Array(batch.length).keys()], [batch.length]);
    if (value.name === 'use_cache_branch') return counts(dtype, [0], rank === 0 ? [] : [1]);
    if (/^(num_)?logits_to_keep$/.test(value.name)) return counts(dtype, [1], rank === 0 ? [] : [1]);
    const made = COUNTED[value.name]?.(batch);
    if (made === undefined) return fail('unsupported-model', value.name, 'there is no way to feed this input');
    return counts(dtype, made.values, [batch.windows.length, made.width]);
  }

  /** [windows, heads, length, width] of an empty cache. */
  #cacheShape(value: Value, { windows }: Batch): readonly number[] {
    const [, heads, length, width] = value.type?.shape ?? [];
    const reader = [...value.uses].map(({ node }) => node).find((node) => node.op === 'GroupQueryAttention');
    if (typeof heads !== 'number')
      return fail('unsupported-model', value.name, 'the number of heads of the cache is not known');
    const found = typeof width === 'number' ? width : this.#widthOf(value, heads, reader);
    return [windows.length, heads, emptyLength(length, reader, this.#hints), found];
  }

  /** From the output that renews the cache, the projections of its layer, or what the caller knows. */
  #widthOf(value: Value, heads: number, reader: Node | undefined): number {
    const rest = value.name.replace(/^past(_key_values)?/, '');
    const present = this.#model.graph.outputs.find(({ name }) => name === `present${rest}`);
    const stated = present?.type?.shape?.[3];
    if (typeof stated === 'number') return stated;
    const layer = Number(/\d+/.exec(rest)?.[0] ?? 0);
    const inLayer = this.#analysis.projections.filter((projection) => projection.layer === layer);
    const key = inLayer.find(({ role }) => role === 'k');
    if (key !== undefined) return key.n / heads;
    const packed = inLayer.find(({ role }) => role === 'qkv');
    const queries = reader === undefined ? 0 : intAttribute(reader, 'num_heads', 0);
    if (packed !== undefined && queries > 0) return packed.n / (queries + 2 * heads);
    return this.#hints.headDim ?? fail('unsupported-model', value.name, 'the head width of the cache is not known');
  }
}

/** 0, or the whole buffer of a local layer whose cache is a window: an empty one is refused there. */
function emptyLength(length: Dim, reader: Node | undefined, hints: DecoderHints): number {
  if (typeof length === 'number') return length;
  const isWindow = reader !== undefined && intAttribute(reader, 'sliding_window_cache', 0) === 1;
  if (!isWindow) return 0;
  const window = intAttribute(reader, 'local_window_size', -1);
  return window > 0 ? window : (hints.window ?? 4096);
}
