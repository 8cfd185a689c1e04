/**
 * Frozen codes with tables that learn, as part of a training graph: Ŵ = scale · (code − centre) + offset, where the codes are a
 * constant and scale and offset are inputs, one pair per block. The gradients are then sums over blocks: dscale = Σ dŴ (code −
 * centre), doffset = Σ dŴ. Scale and centred offset hardly pull at each other, so both may move at the same rate; scale and the
 * plain offset b of a·c + b would.
 */
import { int, ints } from '../onnx/ir/attribute.js';
import { DTYPES } from '../onnx/ir/dtype.js';
import type { Use, Value } from '../onnx/ir/graph.js';
import { float32s, tensorOf } from '../onnx/ir/tensor.js';
import type { GraphBuilder } from '../onnx/rewrite/builder.js';
import type { Blocks } from '../quant/grid.js';
import type { DecodeTable } from '../quant/tables.js';
import { type Feeds, floats } from '../runtime/runtime.js';
import { columnOf, joinBlocks } from './blocks/fake-quant.js';

/** What a projection's weights are made of. */
export interface FrozenCodes {
  /** Names the inputs: `NAME/scale` and `NAME/offset`. */
  readonly name: string;
  readonly n: number;
  /** Codes [n, k] of one precision, not aligned in any container. */
  readonly codes: Uint8Array;
  /** Blocks of k that share an entry of the table. */
  readonly blocks: Blocks;
  /** See `centreOf`. */
  readonly centre: number;
  /** Without, the offset stays zero and is no input (`signed` and `mid` decodes). */
  readonly hasOffset: boolean;
}

/** The numbers that learn, [n, blocks] each. */
export interface CentredColumns {
  readonly scale: Float32Array;
  readonly offset: Float32Array | undefined;
  /** What is added to the outputs [n]; undefined where no bias learns. */
  readonly bias?: Float32Array | undefined;
  /**
   * Where codes learn too, [n, k]: a position on the scale of codes, whose floor is the code. Gradients by a code are taken for
   * those by its position (Bengio et al. 2013, straight-through estimator).
   */
  readonly latent?: Float32Array | undefined;
}

/** The weight in a training graph, and the inputs it depends on. */
export interface TableWeight {
  readonly weight: Value;
  /** The codes as an input, where they learn. */
  readonly codes: Value | undefined;
  readonly scale: Value;
  readonly offset: Value | undefined;
}

/** The code that stands for a weight of `offset`: the middle of all codes, or the zero point of a scale with sign. */
export const centreOf = (decode: 'ab' | 'mid' | 'signed', bits: number): number =>
  2 ** (bits - 1) - (decode === 'signed' ? 0 : 0.5);

/** The learnable form of a decode table ŵ = a·c + b. */
export function centredColumns({ scale, offset }: DecodeTable, codes: FrozenCodes): CentredColumns {
  const centred = (): Float32Array => offset.map((b, at) => b + (scale[at] as number) * codes.centre);
  return { scale: scale.slice(), offset: codes.hasOffset ? centred() : undefined };
}

/** The decode table of learned columns. */
export function decodeColumns({ scale, offset }: CentredColumns, codes: FrozenCodes): DecodeTable {
  const middle = (at: number): number => offset?.[at] ?? 0;
  return { scale, offset: scale.map((a, at) => middle(at) - a * codes.centre) };
}

/** What the inputs of a weight are fed with. */
export function columnFeeds({ scale, offset, bias, latent }: CentredColumns, { name, blocks, n }: FrozenCodes): Feeds {
  const dims = [n, blocks.count];
  return {
    [`${name}/scale`]: floats(scale, dims),
    ...(offset && { [`${name}/offset`]: floats(offset, dims) }),
    ...(bias && { [`${name}/bias`]: floats(bias, [n]) }),
    ...(latent && { [`${name}/codes`]: floats(latent.map(Math.floor), [n, blocks.k]) }),
  };
}

/**
 * Adds the weight [k, n] or [n, k], by the layout that its readers want: the blocks then lie along one axis and nothing that is
 * computed in a step has to be transposed, neither the weight nor its gradient.
 */
export function tableWeight(
  b: GraphBuilder,
  codes: FrozenCodes,
  layout: 'KN' | 'NK',
  codesLearn: boolean = false,
): TableWeight {
  const { name, n, blocks, hasOffset } = codes;
  const learning = codesLearn ? b.input(`${name}/codes`, 'float32', [n, blocks.k]) : undefined;
  const scale = b.input(`${name}/scale`, 'float32', [n, blocks.count]);
  const offset = hasOffset ? b.input(`${name}/offset`, 'float32', [n, blocks.count]) : undefined;
  const shape = { n, layout, blocks };
  const scaled = b.op('Mul', [centredCodes(b, codes, layout, learning), columnOf(b, shape, scale)]);
  const blocked = offset === undefined ? scaled : b.op('Add', [scaled, columnOf(b, shape, offset)]);
  return { weight: joinBlocks(b, shape, blocked), codes: learning, scale, offset };
}

/** code − centre as float32 constants [blocks, block, n] or [n, blocks, block]; the runtime folds this when it loads. */
function centredCodes(b: GraphBuilder, codes: FrozenCodes, layout: 'KN' | 'NK', learning: Value | undefined): Value {
  const { name, n, blocks, centre } = codes;
  const { count, block } = blocks;
  const stored =
    learning === undefined
      ? b.constant(tensorOf('uint8', [n, count * block], paddedCodes(codes)), `${name}/codes`)
      : padded(b, learning, count * block - blocks.k);
  const turned = layout === 'KN' ? b.op('Transpose', [stored], { perm: ints([1, 0]) }) : stored;
  const numbers = learning === undefined ? b.op('Cast', [turned], { to: int(DTYPES.float32.onnx) }) : turned;
  const centred = b.op('Sub', [numbers, b.constant(float32s(Float32Array.of(centre), []), `${name}/centre`)]);
  return b.op('Reshape', [centred, b.integers(layout === 'KN' ? [count, block, n] : [n, count, block])]);
}

/** Codes [n, k] with rows filled up by `missing` zeros. */
function padded(b: GraphBuilder, codes: Value, missing: number): Value {
  return missing === 0 ? codes : b.op('Pad', [codes, b.integers([0, 0, 0, missing]), b.scalar(0)]);
}

/** Rows filled up to whole blocks; what fills them is cut off again behind the decode. */
function paddedCodes({ codes, n, blocks: { k, count, block } }: FrozenCodes): Uint8Array {
  const width = count * block;
  if (width === k) return codes;
  const padded = new Uint8Array(n * width);
  for (let row = 0; row < n; row++) padded.set(codes.subarray(row * k, (row + 1) * k), row * width);
  return padded;
}

/** Puts a weight in the place of an initializer: everything that read that reads the weight. */
export function replaceWeight(b: GraphBuilder, original: Value, make: () => Value): void {
  replaceReaders(b, original, [...original.uses], make);
}

/** The same for some of the readers; the initializer goes when nobody is left. */
export function replaceReaders(b: GraphBuilder, original: Value, readers: readonly Use[], make: () => Value): void {
  const weight = make();
  for (const { node, slot } of readers) b.rewriter.replaceInput(node, slot, weight);
  b.rewriter.dropIfUnused(original);
}
