/** Attributes of a node, as values the compiler can read; anything rarer stays opaque and is written back as it came. */
import type { Graph } from './graph.js';
import type { Tensor } from './tensor.js';

export type Attribute =
  | { readonly kind: 'int'; readonly value: bigint }
  | { readonly kind: 'float'; readonly value: number }
  | { readonly kind: 'string'; readonly value: string }
  | { readonly kind: 'tensor'; readonly value: Tensor }
  | { readonly kind: 'graph'; readonly value: Graph }
  | { readonly kind: 'ints'; readonly value: readonly bigint[] }
  | { readonly kind: 'floats'; readonly value: readonly number[] }
  | { readonly kind: 'strings'; readonly value: readonly string[] }
  | { readonly kind: 'tensors'; readonly value: readonly Tensor[] }
  | { readonly kind: 'graphs'; readonly value: readonly Graph[] }
  /** Sparse tensors, type protos, references to function attributes, strings that are not UTF-8: kept by `convert`. */
  | { readonly kind: 'opaque'; readonly value: unknown };

export type Attributes = ReadonlyMap<string, Attribute>;

export const int = (value: number | bigint): Attribute => ({ kind: 'int', value: BigInt(value) });
export const float = (value: number): Attribute => ({ kind: 'float', value: Math.fround(value) });
export const string = (value: string): Attribute => ({ kind: 'string', value });
export const ints = (value: readonly number[]): Attribute => ({ kind: 'ints', value: value.map(BigInt) });
export const tensor = (value: Tensor): Attribute => ({ kind: 'tensor', value });
export const graph = (value: Graph): Attribute => ({ kind: 'graph', value });
