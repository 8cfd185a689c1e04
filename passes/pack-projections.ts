/**
 * Projections of a self-contained model, packed as MatMulNBits reads them: nothing is joined when a session is made.
 *
 * Matches: the placeholders of a template (`src/emit/sites.ts`).
 * Becomes: MatMulNBits over codes stored in their container (int3 in 4 bits, int5 to int7 in 8), plus blockSum(X) . offset
 * where the table has offsets. Tables keep the form they are stored in, or are plain float32.
 * Why it is sound: as nest-projections; only the place of the codes differs.
 * Refuses when: the layout lacks the projection or the precision (an error of the caller).
 */

import type { Emitter } from '../src/emit/emitter.js';
import { type Filling, fillTemplate, matMulNBits } from '../src/emit/fill.js';
import type { RangeTensor } from '../src/emit/join.js';
import type { PackedRows } from '../src/emit/lookup.js';
import { type At, type PlainTable, plainTable, storedTable, type TableValues } from '../src/emit/tables.js';
import { elementCount } from '../src/onnx/ir/dtype.js';
import { reshaped, type Tensor } from '../src/onnx/ir/tensor.js';
import { definePass, type NoOptions, noOptions, type Pass } from '../src/onnx/rewrite/define-pass.js';
import type { Rewriter } from '../src/onnx/rewrite/rewriter.js';
import { allPlaces, effectiveBits, type ProjectionPlace, type SetLayout } from '../src/quant/layout.js';
import type { ContainerBits, Precision } from '../src/quant/precision.js';

/** One projection ready to be written. */
export interface PackedProjection {
  readonly container: ContainerBits;
  /** uint8 [n, blocks, block * container/8]. */
  readonly codes: Tensor;
  /** Instead of the table of the set, for slices that are no prefix. */
  readonly table?: PlainTable | undefined;
}

/** Gives the packed form of a projection at one of its own precisions. */
export type Pack = (place: ProjectionPlace, bits: Precision) => PackedProjection;

export const packProjections: Pass<NoOptions, Filling & { readonly pack: Pack }> = definePass<
  NoOptions,
  Filling & { readonly pack: Pack }
>({
  name: 'pack-projections',
  summary: 'Stores projections packed as MatMulNBits reads them, for self-contained models.',
  options: noOptions,
  keeps: 'interface',
  material: 'the layout of the set, the precision of each projection and its packed codes',
  run(rw, _, material) {
    packAll(rw, material, material.pack);
  },
});

/** Fills a template with products over packed codes. */
function packAll(rw: Rewriter, filling: Filling, pack: Pack): void {
  const { layout, tensor, bitsOf, accuracyLevel } = filling;
  rw.requireDomain('com.microsoft', 1);
  const packed = new Map<string, PackedProjection>();
  const packedAt = (place: ProjectionPlace): PackedProjection => {
    const known = packed.get(place.id) ?? pack(place, bitsAt(place));
    packed.set(place.id, known);
    return known;
  };
  const bitsAt = (place: ProjectionPlace): Precision => effectiveBits(place, bitsOf(place.id));
  fillTemplate(rw, allPlaces(layout), {
    isPartial: filling.isPartial,
    table: (emitter, at) => tableOf(emitter, tensor, layout, at, bitsAt(at.place), packedAt(at.place)),
    product: (emitter, at, table) => {
      const { codes, container } = packedAt(at.place);
      const stored = emitter.initializer(`${at.name}_Q${container}`, codes);
      return matMulNBits(emitter, at, stored, table, container, accuracyLevel);
    },
    rows: (place) => [rowsOfPacked(packedAt(place))],
  });
}

/** Codes as MatMulNBits reads them, row by row: the same bytes under another shape. */
export function rowsOfPacked({ codes, container }: Pick<PackedProjection, 'codes' | 'container'>): PackedRows {
  const [rows = 0, ...rest] = codes.shape;
  return { rows: reshaped(codes, [rows, elementCount(rest)]), width: container, lift: 0, container };
}

/** The projection's own plain table, or the set's. */
export function tableOf(
  emitter: Emitter,
  tensor: RangeTensor,
  layout: SetLayout,
  at: At,
  bits: Precision,
  packed: Pick<PackedProjection, 'table'>,
): TableValues {
  return packed.table === undefined
    ? storedTable(emitter, tensor, layout, at, bits)
    : plainTable(emitter, packed.table, at);
}
