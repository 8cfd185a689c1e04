/**
 * Text generation with a cache, which belongs to the conversation and not to a session: it goes on when the model changes its
 * precision. Inputs are named as optimum and transformers.js name them.
 */
import { NestedError } from './errors.js';
import type { InputLike, NestedModel } from './nested-model.js';

/** What is used of a tensor of ONNX Runtime. */
export interface TensorLike {
  readonly type: string;
  readonly dims: readonly number[];
  readonly data: unknown;
  readonly location?: string;
  dispose?(): void;
}

/** The class `Tensor` of ONNX Runtime. */
export type TensorClass<T> = new (type: never, data: never, dims: readonly number[]) => T;

/** Options of `Conversation.generate`. */
export interface GenerateOptions {
  /** Default 128. */
  readonly maxTokens?: number;
  /** 0, the default, takes the most likely id. */
  readonly temperature?: number;
  /** Ids that are drawn from; default 40. */
  readonly topK?: number;
  /** Ids that end the text; they are not given out. */
  readonly stop?: readonly number[];
  /** Numbers in [0, 1); default `Math.random`. */
  readonly random?: () => number;
  readonly signal?: AbortSignal;
}

/** A text with its cache, which outlives sessions. */
export class Conversation<T extends TensorLike> {
  readonly #model: NestedModel<T>;
  readonly #tensor: (type: string, data: unknown, dims: readonly number[]) => T;
  #cache: ReadonlyMap<string, T> = new Map();
  #length = 0;
  /** Given out and not in the cache yet. */
  #open: readonly number[] = [];

  constructor(model: NestedModel<T>, Tensor: TensorClass<T>) {
    this.#model = model;
    this.#tensor = (type, data, dims) => new Tensor(type as never, data as never, dims);
  }

  /** Tokens in the cache. */
  get length(): number {
    return this.#length;
  }

  /** Adds ids to the text and gives the ids that follow, one at a time. The text can be continued by another call. */
  async *generate(ids: readonly number[], options: GenerateOptions = {}): AsyncGenerator<number, void> {
    let fresh = ids;
    for (let count = 0; count < (options.maxTokens ?? 128); count++) {
      options.signal?.throwIfAborted();
      const id = pick(await this.feed(fresh), options);
      if (options.stop?.includes(id)) return;
      this.#open = [id];
      fresh = [];
      yield id;
    }
  }

  /** Adds ids to the text; the logits of the id after them. Fails with `inputs`. */
  async feed(ids: readonly number[]): Promise<Float32Array> {
    const all = [...this.#open, ...ids];
    const { inputNames, inputMetadata } = this.#model.session;
    const infos = inputMetadata ?? inputNames.map((name): InputLike => ({ name }));
    const feeds = Object.fromEntries(infos.map((info) => [info.name, this.#feedOf(info, all)]));
    const outputs = await this.#model.run(feeds);
    const renewed = infos
      .filter(({ name }) => isCache(name))
      .map(({ name }) => [name, outputs[outputOf(name)] ?? missing(outputOf(name))] as const);
    for (const tensor of this.#cache.values()) if (tensor.location === 'gpu-buffer') tensor.dispose?.();
    this.#cache = new Map(renewed);
    this.#length += all.length;
    this.#open = [];
    return lastRow(outputs['logits'] ?? missing('logits'));
  }

  #feedOf({ name, type, shape }: InputLike, ids: readonly number[]): T {
    if (isCache(name))
      return this.#cache.get(name) ?? this.#emptyCache({ name, type: type ?? 'float32', shape: shape ?? [] });
    if (name === 'use_cache_branch') return this.#tensor('bool', Uint8Array.of(this.#length > 0 ? 1 : 0), [1]);
    const values = this.#valuesOf(name, ids);
    const dims = shape?.length === 0 ? [] : shape?.length === 1 ? [values.length] : [1, values.length];
    return type === 'int32'
      ? this.#tensor('int32', Int32Array.from(values), dims)
      : this.#tensor('int64', BigInt64Array.from(values, BigInt), dims);
  }

  #valuesOf(name: string, ids: readonly number[]): readonly number[] {
    const past = this.#length;
    if (name === 'input_ids') return ids;
    if (name === 'attention_mask') return Array<number>(past + ids.length).fill(1);
    if (name === 'position_ids') return ids.map((_, at) => past + at);
    if (/^(num_)?logits_to_keep$/.test(name)) return [1];
    throw new NestedError('inputs', `There is no way to feed the input ${name}`);
  }

  #emptyCache({ name, type, shape }: Required<InputLike>): T {
    const [, heads, , width] = shape;
    if (shape.length !== 4 || typeof heads !== 'number' || typeof width !== 'number')
      throw new NestedError('inputs', `The shape of the cache ${name} is not known`);
    return this.#tensor(type, type === 'float16' ? new Uint16Array(0) : new Float32Array(0), [1, heads, 0, width]);
  }
}

const isCache = (name: string): boolean => name.startsWith('past_key_values.');
const outputOf = (name: string): string => name.replace('past_key_values.', 'present.');

function missing(name: string): never {
  throw new NestedError('inputs', `The model has no output ${name}`);
}

/** Of [1, n, vocabulary]. */
function lastRow({ data, dims, type }: TensorLike): Float32Array {
  const all = data as Float32Array | Uint16Array;
  const row = all.subarray(all.length - (dims.at(-1) ?? 0));
  // Browsers without Float16Array give bit patterns.
  return type === 'float16' && row instanceof Uint16Array ? Float32Array.from(row, half) : Float32Array.from(row);
}

function half(bits: number): number {
  const [exponent, fraction] = [(bits >> 10) & 31, bits & 1023];
  if (exponent === 31) return fraction ? Number.NaN : bits & 0x8000 ? -1 / 0 : 1 / 0;
  const size = exponent === 0 ? fraction * 2 ** -24 : (1 + fraction / 1024) * 2 ** (exponent - 15);
  return bits & 0x8000 ? -size : size;
}

/** The most likely id, or one drawn from the `topK` most likely. */
function pick(logits: Float32Array, { temperature = 0, topK = 40, random = Math.random }: GenerateOptions): number {
  if (temperature === 0) return logits.indexOf(logits.reduce((best, each) => Math.max(best, each)));
  const ids = Array.from(logits, (_, id) => id).sort((a, b) => (logits[b] as number) - (logits[a] as number));
  const top = ids.slice(0, topK);
  const best = logits[top[0] as number] as number;
  const weights = top.map((id) => Math.exp(((logits[id] as number) - best) / temperature));
  let left = random() * weights.reduce((sum, each) => sum + each, 0);
  const found = weights.findIndex((weight) => {
    left -= weight;
    return left < 0;
  });
  return top.at(found) as number;
}
