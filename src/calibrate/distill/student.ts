/** The student: the float model with the codes of one precision in its projections, and tables that learn. */
import type { Projection } from '../../analysis/projection.js';
import type { Value } from '../../ir/graph.js';
import { decodeTable } from '../../quant/tables.js';
import type { GraphBuilder } from '../../rewrite/builder.js';
import type { Feeds } from '../../runtime/runtime.js';
import { denseTensor } from '../dense-tensor.js';
import {
  type CentredColumns,
  columnFeeds,
  decodeColumns,
  type FrozenCodes,
  replaceWeight,
  tableWeight,
} from '../table-parameters.js';

export interface StudentProjection {
  readonly projection: Projection;
  readonly codes: FrozenCodes;
  /** The table as the set stores it. */
  readonly columns: CentredColumns;
  /** False for a table that other precisions use as well: it stays. */
  readonly learns: boolean;
}

/** Tables by projection id. */
export type Tables = ReadonlyMap<string, CentredColumns>;

/** The columns of a student's tables in a fixed order: what an optimizer moves. */
export function columnsOf(tables: Tables): readonly Float32Array[] {
  return [...tables.values()].flatMap(({ scale, offset }) => (offset === undefined ? [scale] : [scale, offset]));
}

/** Tables of the same form with other columns, in the order of `columnsOf`. */
export function withColumns(tables: Tables, columns: readonly Float32Array[]): Tables {
  let next = 0;
  const take = (): Float32Array => columns[next++] as Float32Array;
  return new Map(
    [...tables].map(([id, { offset }]) => [id, { scale: take(), offset: offset === undefined ? undefined : take() }]),
  );
}

/** Puts the student's weights into a part of the model; returns the inputs that learn. */
export function placeStudent(
  b: GraphBuilder,
  copyOf: (value: Value) => Value,
  student: readonly StudentProjection[],
): readonly Value[] {
  return student.flatMap(({ projection, codes, columns, learns }) => {
    const inputs: Value[] = [];
    replaceWeight(b, copyOf(projection.weight.source), () => {
      if (!learns) {
        const dense = decodeTable(codes.codes, codes.blocks, decodeColumns(columns, codes));
        return b.constant(denseTensor(projection, dense), `${codes.name}/weight`);
      }
      const { weight, scale, offset } = tableWeight(b, codes, projection.weight.layout);
      inputs.push(scale, ...(offset === undefined ? [] : [offset]));
      return weight;
    });
    return inputs;
  });
}

/** Feeds of the tables that learn among some projections. */
export function tableFeeds(student: readonly StudentProjection[], tables: Tables): Feeds {
  const feeds = student
    .filter(({ learns }) => learns)
    .map(({ codes }) => columnFeeds(tables.get(codes.name) as CentredColumns, codes));
  return Object.assign({}, ...feeds);
}
