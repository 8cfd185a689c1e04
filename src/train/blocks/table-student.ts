/** A block with the frozen codes of one precision, whose tables learn. */

import { denseTensor } from '../../capture/index.js';
import { decodeTable } from '../../quant/tables.js';
import type { StudentProjection, Tables } from '../distill/student.js';
import { type CentredColumns, decodeColumns, type FrozenCodes, tableWeight } from '../table-parameters.js';
import type { Student } from './block-graph.js';
import type { Learnable, Learned } from './learnables.js';

/** `projections` are those of the block. Rates are relative to the mean scale of a projection. */
export function tableStudent(projections: readonly StudentProjection[]): Student {
  return {
    learnables: projections.filter(({ learns }) => learns).flatMap(learnablesOf),
    build(b, copyOf) {
      const placed = projections.map(({ projection, codes, columns, learns }) => {
        const source = copyOf(projection.weight.source);
        if (!learns) {
          const dense = decodeTable(codes.codes, codes.blocks, decodeColumns(columns, codes));
          return { source, weight: b.constant(denseTensor(projection, dense), `${codes.name}/weight`), inputs: [] };
        }
        const { weight, scale, offset } = tableWeight(b, codes, projection.weight.layout);
        return { source, weight, inputs: offset === undefined ? [scale] : [scale, offset] };
      });
      const weights = new Map(placed.map(({ source, weight }) => [source, weight]));
      return { wrt: placed.flatMap(({ inputs }) => inputs), weights: () => weights };
    },
  };
}

function learnablesOf({ codes, columns }: StudentProjection): readonly Learnable[] {
  const { scale, offset } = columns;
  const unit = scale.reduce((sum, value) => sum + Math.abs(value), 0) / Math.max(1, scale.length);
  const made = (name: string, values: Float32Array): Learnable => ({
    name,
    kind: 'tables',
    dims: [codes.n, codes.blocks.count],
    values: values.slice(),
    unit,
  });
  const [first, second] = inputNames(codes);
  return offset === undefined ? [made(first, scale)] : [made(first, scale), made(second, offset)];
}

const inputNames = ({ name }: FrozenCodes): readonly [string, string] => [`${name}/scale`, `${name}/offset`];

/** The tables that were learned, by projection. */
export function learnedTables(projections: readonly StudentProjection[], learned: Learned): Tables {
  return new Map(
    projections
      .filter(({ learns }) => learns)
      .map(({ codes }): [string, CentredColumns] => {
        const [scale, offset] = inputNames(codes);
        return [codes.name, { scale: learned.get(scale) as Float32Array, offset: learned.get(offset) }];
      }),
  );
}
