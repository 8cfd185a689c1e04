/**
 * Fake quantization in a training graph: a weight is rounded to the codes of a parent grid whose range learns, the codes are
 * sliced, and the slices decoded, all in float32. The one rule for going back is that rounding is the identity.
 */
import { ints } from '../../onnx/ir/attribute.js';
import type { Value } from '../../onnx/ir/graph.js';
import type { GraphBuilder } from '../../onnx/rewrite/builder.js';
import type { Blocks } from '../../quant/grid.js';
import type { Precision } from '../../quant/precision.js';
import { decodeConstants, type SliceKind } from '../../quant/slice.js';

/** A stored weight and how its inner dimension splits. */
export interface BlockedShape {
  readonly n: number;
  /** [k, n] or [n, k]. */
  readonly layout: 'KN' | 'NK';
  readonly blocks: Blocks;
}

/** Axis of the weights of one block in the blocked form: [count, block, n] or [n, count, block]. */
const blockAxis = ({ layout }: BlockedShape): number => (layout === 'KN' ? 1 : 2);

/** A stored weight with its blocks along one axis; a short last block is filled with zeros. */
export function splitBlocks(b: GraphBuilder, shape: BlockedShape, weight: Value): Value {
  const { n, layout, blocks } = shape;
  const { k, count, block } = blocks;
  const missing = count * block - k;
  const pads = layout === 'KN' ? [0, 0, missing, 0] : [0, 0, 0, missing];
  const whole = missing === 0 ? weight : b.op('Pad', [weight, b.integers(pads), b.scalar(0)]);
  return b.op('Reshape', [whole, b.integers(layout === 'KN' ? [count, block, n] : [n, count, block])]);
}

/** Back to the stored form. */
export function joinBlocks(b: GraphBuilder, { n, layout, blocks }: BlockedShape, blocked: Value): Value {
  const { k, count, block } = blocks;
  const width = count * block;
  const flat = b.op('Reshape', [blocked, b.integers(layout === 'KN' ? [width, n] : [n, width])]);
  if (width === k) return flat;
  return b.op('Slice', [flat, b.integers([0]), b.integers([k]), b.integers([layout === 'KN' ? 0 : 1])]);
}

/** A table [n, count] beside blocked weights. */
export function columnOf(b: GraphBuilder, { n, layout, blocks }: BlockedShape, table: Value): Value {
  if (layout === 'NK') return b.op('Reshape', [table, b.integers([n, blocks.count, 1])]);
  return b.op('Reshape', [b.op('Transpose', [table], { perm: ints([1, 0]) }), b.integers([blocks.count, 1, n])]);
}

/** The parent's codes as float32 integers, blocked, with scale and zero point as columns: w ≈ scale · (code − zero). */
export interface ParentCodes {
  readonly codes: Value;
  readonly scale: Value;
  readonly zero: Value;
  readonly bits: Precision;
}

/** How a range becomes a grid, as in `quant/grid.ts`. */
export interface ParentOptions {
  readonly bits: Precision;
  readonly symmetric: boolean;
}

/** Blocks without a range keep a scale above zero. */
const TINY = 1e-10;

/**
 * The parent over the range [β · min, γ · max] with γ = σ(upper), β = σ(lower) (MatQuant eq. 3); `upper` and `lower` are
 * columns. The zero point is an integer and, as in OmniQuant's code, not differentiated. `nudge` moves weights by parts of a code.
 */
export function clippedParent(
  b: GraphBuilder,
  shape: BlockedShape,
  weights: Value,
  range: { readonly upper: Value; readonly lower: Value },
  { bits, symmetric }: ParentOptions,
  nudge?: Value,
): ParentCodes {
  const top = 2 ** bits - 1;
  const zeros = b.scalar(0);
  const high = b.op('Max', [reduce(b, 'ReduceMax', weights, blockAxis(shape)), zeros]);
  const low = b.op('Min', [reduce(b, 'ReduceMin', weights, blockAxis(shape)), zeros]);
  const upper = b.op('Mul', [high, b.op('Sigmoid', [range.upper])]);
  const lower = b.op('Mul', [low, b.op('Sigmoid', [range.lower])]);
  const half = 2 ** (bits - 1);
  const width = symmetric ? b.op('Max', [upper, b.op('Neg', [lower])]) : b.op('Sub', [upper, lower]);
  const levels = symmetric ? Math.max(half - 1, 1) : top;
  const scale = b.op('Max', [b.op('Mul', [width, b.scalar(1 / levels)]), b.scalar(TINY)]);
  const inverse = b.op('Reciprocal', [scale]);
  const zero = symmetric ? b.scalar(half) : b.op('Round', [b.op('Mul', [b.op('Neg', [lower]), inverse])]);
  const plain = b.op('Add', [b.op('Mul', [weights, inverse]), zero]);
  const exact = nudge === undefined ? plain : b.op('Add', [plain, nudge]);
  const codes = b.op('Clip', [throughRound(b, exact), zeros, b.scalar(top)]);
  return { codes, scale, zero, bits };
}

/** Codes of a slice with the decode that the parent's own grid implies, ŵ = scale · code + offset. */
export interface SlicedCodes {
  readonly codes: Value;
  readonly scale: Value;
  readonly offset: Value;
}

/** Added before rounding half to even so that ties go up; no other quotient of 256 codes is this near to one. */
const UP = 1 / 512;

/** The slices of `quant/slice.ts`; a parent of fewer than 8 bits has no slices but itself. */
export function sliceParent(b: GraphBuilder, parent: ParentCodes, kind: SliceKind, bits: Precision): SlicedCodes {
  const { codes, scale, zero } = parent;
  if (bits === parent.bits) return { codes, scale, offset: b.op('Neg', [b.op('Mul', [scale, zero])]) };
  const { step, shift } = decodeConstants(kind, bits);
  const start = kind === 'prefix' ? UP - 0.5 : UP;
  const quotient = b.op('Add', [b.op('Mul', [codes, b.scalar(1 / step)]), b.scalar(start)]);
  const rounded = throughRound(b, quotient);
  const sliced = kind === 'paper' ? b.op('Min', [rounded, b.scalar(2 ** bits - 1)]) : rounded;
  return {
    codes: sliced,
    scale: b.op('Mul', [scale, b.scalar(step)]),
    offset: b.op('Mul', [scale, b.op('Sub', [b.scalar(shift), zero])]),
  };
}

/**
 * Scale and offset of one precision that learn beside codes: scale · (1 + ρ) and, about the middle code so that the two hardly
 * pull at each other, offset + scale · τ.
 */
export function loosened(
  b: GraphBuilder,
  sliced: SlicedCodes,
  bits: Precision,
  learned: { readonly stretch: Value; readonly shift: Value },
): SlicedCodes {
  const scale = b.op('Mul', [sliced.scale, b.op('Add', [learned.stretch, b.scalar(1)])]);
  const middle = b.scalar(2 ** (bits - 1));
  const shift = b.op('Sub', [learned.shift, b.op('Mul', [middle, learned.stretch])]);
  return { codes: sliced.codes, scale, offset: b.op('Add', [sliced.offset, b.op('Mul', [sliced.scale, shift])]) };
}

/** The stored weight that sliced codes stand for. */
export function decodeSlice(b: GraphBuilder, shape: BlockedShape, { codes, scale, offset }: SlicedCodes): Value {
  return joinBlocks(b, shape, b.op('Add', [b.op('Mul', [codes, scale]), offset]));
}

const throughRound = (b: GraphBuilder, value: Value): Value => b.op('matquant::StraightThroughRound', [value]);

/** The value, taken for a constant going back. */
export const stopped = (b: GraphBuilder, value: Value): Value => b.op('matquant::StopGradient', [value]);

/** Axes became an input in operator set 18. */
function reduce(b: GraphBuilder, op: 'ReduceMax' | 'ReduceMin', value: Value, axis: number): Value {
  if (b.opset >= 18) return b.op(op, [value, b.integers([axis])]);
  return b.op(op, [value], { axes: ints([axis]) });
}

/** A weight times a vector along its inner (`k`) or outer (`n`) dimension. */
export function scaleWeight(
  b: GraphBuilder,
  { n, layout, blocks: { k } }: BlockedShape,
  weight: Value,
  along: 'k' | 'n',
  factors: Value,
): Value {
  const last = (along === 'n') === (layout === 'KN');
  const length = along === 'k' ? k : n;
  return b.op('Mul', [weight, b.op('Reshape', [factors, b.integers(last ? [1, length] : [length, 1])])]);
}

/** A stored weight as [n, k]. */
export const rowsOfWeight = (b: GraphBuilder, layout: 'KN' | 'NK', weight: Value): Value =>
  layout === 'NK' ? weight : b.op('Transpose', [weight], { perm: ints([1, 0]) });

/** A vector [k] times a stored weight: [n]. */
export function timesWeight(
  b: GraphBuilder,
  { n, layout, blocks: { k } }: BlockedShape,
  x: Value,
  weight: Value,
): Value {
  const matrix = layout === 'KN' ? weight : b.op('Transpose', [weight], { perm: ints([1, 0]) });
  return b.op('Reshape', [b.op('MatMul', [b.op('Reshape', [x, b.integers([1, k])]), matrix]), b.integers([n])]);
}
