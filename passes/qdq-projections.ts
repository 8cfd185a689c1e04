/**
 * Projections in standard ONNX: a weight behind DequantizeLinear.
 *
 * Matches: the placeholders of a template (`src/emit/sites.ts`).
 * Becomes: MatMul(X, DequantizeLinear(codes [K, N], scales [blocks, N], axis 0)), plus blockSum(X) . offset where the table has
 * offsets. This layout straight into the MatMul is the one ONNX Runtime fuses to MatMulNBits; behind a Transpose it never does.
 * Why it is sound: signed codes C - 2^(m-1) decode with zero point 0 to what MatMulNBits computes by default; a stored zero
 * point keeps unsigned codes. DequantizeLinear with block_size is ONNX from version 21 on, int2 from 25 on.
 * Refuses when: K is not a multiple of the block, which runtimes do not fuse; the model is older than operator set 13.
 */
import { fail } from '../src/diagnostics.js';
import type { Emitter } from '../src/emit/emitter.js';
import type { Multiply } from '../src/emit/expand.js';
import { type Filling, fillTemplate } from '../src/emit/fill.js';
import { type At, storedTable, type TableValues } from '../src/emit/tables.js';
import { int, ints } from '../src/onnx/ir/attribute.js';
import type { DType } from '../src/onnx/ir/dtype.js';
import type { Value } from '../src/onnx/ir/graph.js';
import type { Tensor } from '../src/onnx/ir/tensor.js';
import { definePass, type NoOptions, noOptions, type Pass } from '../src/onnx/rewrite/define-pass.js';
import { raiseOpset } from '../src/onnx/rewrite/raise-opset.js';
import type { Rewriter } from '../src/onnx/rewrite/rewriter.js';
import { allPlaces, effectiveBits, type ProjectionPlace, placeBlocks } from '../src/quant/layout.js';
import { type ContainerBits, containerBits, type Precision } from '../src/quant/precision.js';
import { type Pack, rowsOfPacked } from './pack-projections.js';

/** Codes of a projection as [k, n], packed over the whole tensor: int or uint of the container's width. */
export type PackColumns = (place: ProjectionPlace, bits: Precision, dtype: DType) => Tensor;

const SIGNED: Readonly<Record<ContainerBits, DType>> = { 2: 'int2', 4: 'int4', 8: 'int8' };
const UNSIGNED: Readonly<Record<ContainerBits, DType>> = { 2: 'uint2', 4: 'uint4', 8: 'uint8' };

/** What the pass is given: codes by columns for products, and by rows for look-ups. */
export type QdqFilling = Filling & { readonly pack: PackColumns; readonly packRows: Pack };

export const qdqProjections: Pass<NoOptions, QdqFilling> = definePass<NoOptions, QdqFilling>({
  name: 'qdq-projections',
  summary: 'Stores projections as codes behind DequantizeLinear, in standard ONNX.',
  options: noOptions,
  keeps: 'interface',
  material: 'the layout of the set, the precision of each projection and its codes',
  run(rw, _, material) {
    dequantize(rw, material);
  },
});

/** Fills a template with standard products. */
function dequantize(rw: Rewriter, filling: QdqFilling): void {
  const { layout, tensor, bitsOf, pack, packRows } = filling;
  const places = allPlaces(layout);
  const bitsAt = (place: ProjectionPlace): Precision => effectiveBits(place, bitsOf(place.id));
  const containers = places.map((place) => containerBits(bitsAt(place)));
  if (containers.includes(2)) raiseOpset(rw, 25, 13);
  else raiseOpset(rw, 21, 10);
  fillTemplate(rw, places, {
    isPartial: filling.isPartial,
    table: (emitter, at) => storedTable(emitter, tensor, layout, at, bitsAt(at.place)),
    product: (emitter, at, table) => {
      refuseRagged(at.place);
      const bits = bitsAt(at.place);
      const dtype = (table.zero === undefined ? SIGNED : UNSIGNED)[containerBits(bits)];
      const codes = emitter.initializer(`${at.name}_Q${bits}`, pack(at.place, bits, dtype));
      return dequantized(emitter, at, codes, table);
    },
    rows: (place) => [rowsOfPacked(packRows(place, bitsAt(place)))],
  });
}

function refuseRagged(place: ProjectionPlace): void {
  if (place.k % place.block === 0) return;
  fail(
    'unsupported-target',
    place.id,
    `K = ${place.k} is not a multiple of the block ${place.block}, which DequantizeLinear needs`,
  );
}

/** MatMul by weights that a DequantizeLinear makes, once per element type. */
function dequantized(emitter: Emitter, at: At, codes: Value, table: TableValues): Multiply {
  const attributes = { axis: int(0), block_size: int(placeBlocks(at.place).block) };
  const turn = (value: Value): Value =>
    emitter.add(at.anchor, at.place.id, {
      op: 'Transpose',
      inputs: [value],
      attributes: { perm: ints([1, 0]) },
      name: `${at.name}/scales/Transpose`,
    });
  const zero = table.zero === undefined ? [] : [turn(table.zero)];
  const weights = new Map<string, Value>();
  return (site, input, dtype) => {
    const inputs = (): Value[] => [codes, turn(table.scale(dtype)), ...zero];
    const made = (): Value =>
      emitter.add(at.anchor, at.place.id, {
        op: 'DequantizeLinear',
        inputs: inputs(),
        attributes,
        name: `${at.name}/DequantizeLinear`,
      });
    const weight = weights.get(dtype) ?? made();
    weights.set(dtype, weight);
    return { op: 'MatMul', inputs: [input, weight], name: `${site.node.name}/MatMul` };
  };
}
