/**
 * Projections that read the nested data file.
 *
 * Matches: the placeholders of a template (`src/emit/sites.ts`), each standing for Y = alpha * X . W (+ bias).
 * Becomes: MatMulNBits over codes that a few operators on constants join from bit planes, with scales decoded from the set's
 * tables, plus blockSum(X) . offset where the table has offsets. The joined codes stand in the main graph, so that both
 * branches of a merged decoder share them. A look-up in a nested token table unpacks only the rows that are asked for. A plane that is B as it stands goes through an Identity where its scales are decoded.
 * Why it is sound: codes C are top-aligned in an m-bit container whose default zero point is 2^(m-1), so MatMulNBits computes
 * X . (scale * (C - 2^(m-1))), and the offset is constant per block: sum over its X times the offset.
 * Refuses when: the layout lacks the projection or the precision (an error of the caller).
 */

import { type Filling, fillTemplate, matMulNBits } from '../src/emit/fill.js';
import { Joiner, type RangeTensor, WORD_FROM } from '../src/emit/join.js';
import type { PackedRows } from '../src/emit/lookup.js';
import { storedTable } from '../src/emit/tables.js';
import { elementCount } from '../src/onnx/ir/dtype.js';
import { definePass, type NoOptions, noOptions, type Pass } from '../src/onnx/rewrite/define-pass.js';
import type { Rewriter } from '../src/onnx/rewrite/rewriter.js';
import { wideningOf } from '../src/quant/join-table.js';
import { allPlaces, effectiveBits, type ProjectionPlace, planesAt } from '../src/quant/layout.js';
import { containerBits, type Precision } from '../src/quant/precision.js';

export const nestProjections: Pass<NoOptions, Filling> = definePass<NoOptions, Filling>({
  name: 'nest-projections',
  summary: 'Makes projections read their codes from the bit planes of a nested data file.',
  options: noOptions,
  keeps: 'interface',
  material: 'the layout of the set and the precision of each projection',
  run(rw, _, filling) {
    nest(rw, filling);
  },
});

/** Fills a template with products over the nested data file. */
function nest(rw: Rewriter, filling: Filling): void {
  const { layout, tensor, bitsOf, accuracyLevel } = filling;
  const places = allPlaces(layout);
  const codes = places.reduce((sum, { k, n }) => sum + elementCount([k, n]), 0);
  const step = filling.step ?? (codes < WORD_FROM ? 'byte' : 'word');
  let joiner: Joiner | undefined;
  rw.requireDomain('com.microsoft', 1);
  const bitsAt = (place: ProjectionPlace): Precision => effectiveBits(place, bitsOf(place.id));
  fillTemplate(rw, places, {
    isPartial: filling.isPartial,
    table: (emitter, at) => storedTable(emitter, tensor, layout, at, bitsAt(at.place)),
    product: (emitter, at, table) => {
      joiner ??= new Joiner(emitter, tensor, step);
      const bits = bitsAt(at.place);
      const joined = joiner.join(at.anchor, at.place, bits, at.name);
      return matMulNBits(emitter, at, joined, table, containerBits(bits), accuracyLevel);
    },
    rows: (place) => planesOf(place, bitsAt(place), tensor),
  });
}

/** The planes of a token table, row by row. */
function planesOf(place: ProjectionPlace, bits: Precision, tensor: RangeTensor): readonly PackedRows[] {
  return planesAt(place, bits).map((plane) => ({
    ...wideningOf(plane, bits),
    rows: tensor(plane, 'uint8', [place.n, plane.length / place.n]),
  }));
}
