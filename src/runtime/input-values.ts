/** The values that inputs of a decoder are fed with, by role: texts of one length from an empty cache, or one more token. */
import type { DType } from '../onnx/ir/dtype.js';
import type { InputRole, Port } from './input-roles.js';
import { counts, type HostTensor } from './runtime.js';
import { tokenVectors } from './token-vectors.js';

/** What is to be run. */
export interface Texts {
  /** New ids of each text, all of one length. */
  readonly windows: readonly ArrayLike<number>[];
  /** Their length. */
  readonly length: number;
  /** Tokens in the caches already. */
  readonly past: number;
  /** Positions that get logits. */
  readonly keep: number;
  /** Tokens that a local layer sees; all when it is not known. */
  readonly window?: number | undefined;
}

/** The tensor for an input, in the type `dtype`; undefined when there is no such tensor. */
export function valueFor(
  port: Port,
  role: Exclude<InputRole, 'cache'>,
  dtype: DType,
  texts: Texts,
): HostTensor | undefined {
  if (role === 'vectors') return tokenVectors(port, dtype, texts);
  const { values, dims } = VALUES[role](port.dims ?? [], texts, port.name);
  const isMask = role === 'causal-mask' && dtype !== 'bool' && dtype !== 'int64' && dtype !== 'int32';
  return counts(dtype, isMask ? values.map((seen) => (seen === 1 ? 0 : BLOCKED)) : values, dims);
}

/** What a float mask adds to the score of a token that is not seen: beyond any score, and still a number in float16. */
const BLOCKED = -1e4;

type Values = { readonly values: number[]; readonly dims: readonly number[] };
type Dims = NonNullable<Port['dims']>;

/** One number for all texts, or the same for each where the input has a dimension of the batch. */
function count(of: (texts: Texts) => number): (dims: Dims, texts: Texts) => Values {
  return (dims, texts) => {
    const shape = dims.map((dim, axis) => (axis === 0 && dim !== 1 ? texts.windows.length : 1));
    const size = shape.reduce((product, dim) => product * dim, 1);
    return { values: Array<number>(size).fill(of(texts)), dims: shape };
  };
}

/** A row for each text. */
function rows(
  of: (texts: Texts) => { readonly row: number; readonly width: number },
): (_: Dims, texts: Texts) => Values {
  return (_, texts) => {
    const { row, width } = of(texts);
    return {
      values: Array<number>(texts.windows.length * width).fill(row),
      dims: [texts.windows.length, width],
    };
  };
}

const VALUES: Record<Exclude<InputRole, 'cache' | 'vectors'>, (dims: Dims, texts: Texts, name: string) => Values> = {
  ids: (_, { windows, length }) => ({
    values: windows.flatMap((window) => Array.from(window)),
    dims: [windows.length, length],
  }),
  mask: rows(({ past, length }) => ({ row: 1, width: past + length })),
  segments: rows(({ length }) => ({ row: 0, width: length })),
  'causal-mask': causalMask,
  positions: (dims, { windows, length, past }) => {
    const one = Array.from({ length }, (_, at) => past + at);
    if (dims.length === 1) return { values: one, dims: [length] };
    const planes = dims.length === 3 && typeof dims[0] === 'number' ? [dims[0]] : [];
    const texts = Array<number[]>((planes[0] ?? 1) * windows.length).fill(one);
    return { values: texts.flat(), dims: [...planes, windows.length, length] };
  },
  'past-count': count(({ past }) => past),
  'new-count': count(({ length }) => length),
  'total-count': count(({ past, length }) => past + length),
  'last-position': count(({ past, length }) => past + length - 1),
  branch: (dims, { past }) => ({ values: [past > 0 ? 1 : 0], dims: dims.length === 0 ? [] : [1] }),
  keep: (dims, { keep }) => ({ values: [keep], dims: dims.length === 0 ? [] : [1] }),
};

/** 1 where a token sees another: itself and those before it, in a local layer no more than the window. */
function causalMask(dims: Dims, { windows, length, past, window }: Texts, name: string): Values {
  const total = past + length;
  const reach = /sliding|local|window/.test(name) ? (window ?? Number.POSITIVE_INFINITY) : Number.POSITIVE_INFINITY;
  const one = Array.from({ length: length * total }, (_, at) => {
    const [row, column] = [past + Math.floor(at / total), at % total];
    return column <= row && row - column < reach ? 1 : 0;
  });
  const lead = dims.slice(0, -2).map((dim, axis) => (axis === 0 ? windows.length : typeof dim === 'number' ? dim : 1));
  const copies = lead.reduce((product, dim) => product * dim, 1);
  return { values: Array<number[]>(copies).fill(one).flat(), dims: [...lead, length, total] };
}
