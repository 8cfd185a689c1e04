/**
 * Looks for NaN and infinities in the constants of a model, before anything is computed from them: all bits of the exponent are ones.
 * Reads in pieces of 8 MiB and tests 32 bits at a time: 3 GB/s on one core for float32 and float16, so a 7B model in float16 that is in
 * the page cache takes about five seconds.
 */

import type { DType } from '../onnx/ir/dtype.js';
import { graphsOf, type Model } from '../onnx/ir/graph.js';
import type { Tensor } from '../onnx/ir/tensor.js';

const PIECE = 8 << 20;

/** Where the exponent is, and what carries into the bit above when added to one that is all ones. */
interface Exponent {
  readonly mask: number;
  readonly one: number;
  readonly carry: number;
  /** Distance between words with an exponent, and the first of them; words are little-endian. */
  readonly step: 1 | 2;
}

const EXPONENTS: Partial<Record<DType, Exponent>> = {
  float32: { mask: 0x7f800000, one: 0x00800000, carry: 0x80000000 | 0, step: 1 },
  float16: { mask: 0x7c007c00, one: 0x04000400, carry: 0x80008000 | 0, step: 1 },
  bfloat16: { mask: 0x7f807f80, one: 0x00800080, carry: 0x80008000 | 0, step: 1 },
  float64: { mask: 0x7ff00000, one: 0x00100000, carry: 0x80000000 | 0, step: 2 },
};

/** Number of the first element that is NaN or infinite; undefined when there is none, or the type cannot have any. */
export function firstNotFinite(tensor: Tensor, into: Uint8Array = new Uint8Array(PIECE)): number | undefined {
  const exponent = EXPONENTS[tensor.dtype];
  if (exponent === undefined || tensor.strings !== undefined) return undefined;
  for (let at = 0; at < tensor.byteLength; at += PIECE) {
    const bytes = tensor.bytes(at, Math.min(at + PIECE, tensor.byteLength), into);
    const words = wordsOf(bytes);
    if (!hasCarry(words, exponent)) continue;
    const word = firstCarry(words, exponent);
    const isFirst = (((words[word] as number) & exponent.mask & 0xffff) + (exponent.one & 0xffff)) & 0x8000;
    if (tensor.dtype === 'float16' || tensor.dtype === 'bfloat16') return at / 2 + 2 * word + (isFirst ? 0 : 1);
    return tensor.dtype === 'float64' ? at / 8 + (word - 1) / 2 : at / 4 + word;
  }
  return undefined;
}

/** Four bytes at a time; the last ones are filled up with zeros. */
function wordsOf(bytes: Uint8Array): Int32Array {
  if (bytes.byteOffset % 4 === 0 && bytes.length % 4 === 0)
    return new Int32Array(bytes.buffer, bytes.byteOffset, bytes.length / 4);
  const padded = new Uint8Array(Math.ceil(bytes.length / 4) * 4);
  padded.set(bytes);
  return new Int32Array(padded.buffer);
}

function hasCarry(words: Int32Array, { mask, one, carry, step }: Exponent): boolean {
  let found = 0;
  for (let i = step - 1; i < words.length; i += step) found |= ((words[i] as number) & mask) + one;
  return (found & carry) !== 0;
}

function firstCarry(words: Int32Array, { mask, one, carry, step }: Exponent): number {
  for (let i = step - 1; i < words.length; i += step) if ((((words[i] as number) & mask) + one) & carry) return i;
  return -1;
}

/** A constant that is not finite. */
export interface NotFinite {
  readonly name: string;
  /** Indices of the first such element, outermost first. */
  readonly index: readonly number[];
}

/**
 * The first initializer with an element that is not finite. `isWeight` names those that are weights by their use; others, such as masks, may
 * hold infinities.
 */
export function notFiniteIn(
  model: Model,
  isWeight: (tensor: Tensor) => boolean,
  onTensor: () => void,
): NotFinite | undefined {
  const into = new Uint8Array(PIECE);
  const seen = new Set<object>();
  for (const graph of graphsOf(model.graph)) {
    for (const { name, initializer } of graph.initializers) {
      if (initializer === undefined || seen.has(initializer.storage) || !isWeight(initializer)) continue;
      seen.add(initializer.storage);
      onTensor();
      const found = firstNotFinite(initializer, into);
      if (found !== undefined) return { name, index: indexOf(found, initializer.shape) };
    }
  }
  return undefined;
}

function indexOf(element: number, shape: readonly number[]): readonly number[] {
  let rest = element;
  return shape
    .toReversed()
    .map((dim) => {
      const at = rest % dim;
      rest = Math.floor(rest / dim);
      return at;
    })
    .reverse();
}
