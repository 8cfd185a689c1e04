/** A block with the frozen codes of one precision, whose tables learn. */

import { placeTable, type StudentProjection, type Tables } from '../distill/student.js';
import type { CentredColumns, FrozenCodes } from '../table-parameters.js';
import type { Student } from './block-graph.js';
import type { Learnable, Learned } from './learnables.js';

/** `projections` are those of the block. Rates are relative to the mean scale of a projection. */
export function tableStudent(projections: readonly StudentProjection[]): Student {
  return {
    learnables: projections.filter(({ learns }) => learns).flatMap(learnablesOf),
    build(b, copyOf) {
      const placed = projections.map((each) => ({
        source: copyOf(each.projection.weight.source),
        ...placeTable(b, each),
      }));
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
