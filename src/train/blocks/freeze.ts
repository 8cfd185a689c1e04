/** Learned numbers become what a set stores: parent codes, their grid, and a table per precision. */
import type { Projection } from '../../analysis/projection.js';
import { type Blocks, blocksOf, encode, type Grid, gridOf, minMax, type Ranges } from '../../quant/grid.js';
import type { Precision } from '../../quant/precision.js';
import { sliceCodes } from '../../quant/slice.js';
import { type DecodeTable, decodeTable, tiedTable } from '../../quant/tables.js';
import type { Nested } from '../../solve/index.js';
import { nudgeWindow } from './clip-student.js';
import { type Learned, namesOf, type StudentPlan } from './learnables.js';

const sigmoid = (x: number): number => 1 / (1 + Math.exp(-x));

/** The weights are [n, k] in float32, with the equivalent transform applied where there is one. */
export function freezeClipped(
  projection: Projection,
  weights: Float32Array,
  plan: StudentPlan,
  learned: Learned,
): Nested {
  const { id, n, k } = projection;
  const names = namesOf(id);
  const blocks = blocksOf(k, plan.blockOf(k));
  const ranges = clipped(minMax(weights, n, blocks), learned.get(names.upper), learned.get(names.lower));
  const grid = gridOf(ranges, plan.symmetric ? 'symmetric' : 'asymmetric', plan.parent);
  const nudge = learned.get(names.nudge);
  const moved = nudge === undefined ? weights : nudged(weights, nudge, blocks, grid, nudgeWindow(plan));
  const codes = encode(moved, n, blocks, grid, plan.parent);
  const tables = new Map<Precision, DecodeTable>();
  for (const bits of plan.bits) {
    const tied = bits === plan.parent ? parentTable(grid) : tiedTable(grid, plan.slice, bits);
    tables.set(bits, loosen(tied, bits, learned.get(names.stretch(bits)), learned.get(names.shift(bits))));
  }
  return { codes, parent: { scale: grid.scale, zero: Float32Array.from(grid.zero) }, tables };
}

/** γ · max and β · min; ranges hold zero. */
function clipped({ low, high }: Ranges, upper: Float32Array | undefined, lower: Float32Array | undefined): Ranges {
  const shrink = (values: Float32Array, learned: Float32Array | undefined): Float32Array =>
    learned === undefined ? values : values.map((value, at) => value * sigmoid(learned[at] as number));
  return {
    low: shrink(
      low.map((value) => Math.min(value, 0)),
      lower,
    ),
    high: shrink(
      high.map((value) => Math.max(value, 0)),
      upper,
    ),
  };
}

/** Weights moved by parts of a code, so that they round to the learned one. */
function nudged(
  weights: Float32Array,
  nudge: Float32Array,
  { k, block, count }: Blocks,
  grid: Grid,
  window: number,
): Float32Array {
  return weights.map((weight, at) => {
    const scale = grid.scale[Math.floor(at / k) * count + Math.floor((at % k) / block)] as number;
    return weight + (nudge[at] as number) * window * scale;
  });
}

const parentTable = ({ scale, zero }: Grid): DecodeTable => ({
  scale: scale.slice(),
  offset: scale.map((alpha, at) => -alpha * (zero[at] as number)),
});

/** As `loosened` in the training graph. */
function loosen(
  tied: DecodeTable,
  bits: Precision,
  stretch: Float32Array | undefined,
  shift: Float32Array | undefined,
): DecodeTable {
  if (stretch === undefined || shift === undefined) return tied;
  const middle = 2 ** (bits - 1);
  return {
    scale: tied.scale.map((scale, at) => scale * (1 + (stretch[at] as number))),
    offset: tied.offset.map(
      (offset, at) => offset + (tied.scale[at] as number) * ((shift[at] as number) - middle * (stretch[at] as number)),
    ),
  };
}

/** The weights [n, k] that a frozen projection has at one precision. */
export function frozenWeights(nested: Nested, k: number, plan: StudentPlan, bits: Precision): Float32Array {
  const codes = bits === plan.parent ? nested.codes : sliceCodes(nested.codes, plan.slice, bits);
  return decodeTable(codes, blocksOf(k, plan.blockOf(k)), nested.tables.get(bits) as DecodeTable);
}
