/** Between stored codes and tables, and those that learn. */

import { float16ToFloat32, float32ToFloat16 } from '../onnx/ir/half.js';
import { compressTable, decompressTable, type StoredTable } from '../quant/compress.js';
import { effectiveBits, type SetLayout, tableBlocks } from '../quant/layout.js';
import type { Precision } from '../quant/precision.js';
import { type CentredTable, centre, uncentre } from '../quant/tables.js';
import { centredTable, codesAt, type SetReader, storedBias } from '../set/index.js';
import type { Source } from '../source/index.js';
import type { StudentProjection, Tables } from './distill/student.js';
import { type CentredColumns, centredColumns, centreOf, decodeColumns, type FrozenCodes } from './table-parameters.js';

/**
 * The projections of the model of `bits`. A projection learns when its table serves this precision alone: one that is kept at 4
 * bits in the int2 model shares its table with int4.
 */
export function studentAt(
  reader: SetReader,
  source: Source,
  bits: Precision,
  isWanted: (id: string) => boolean = () => true,
): readonly StudentProjection[] {
  const { layout } = reader;
  const projections = new Map(source.analysis.projections.map((projection) => [projection.id, projection]));
  return layout.projections.flatMap((place) => {
    const projection = projections.get(place.id);
    if (projection === undefined || !isWanted(place.id)) return [];
    const own = effectiveBits(place, bits);
    const below = layout.bits.filter((each) => each < bits);
    const learns = own === bits && below.every((each) => effectiveBits(place, each) !== own);
    const { decode } = layout;
    const codes: FrozenCodes = {
      name: place.id,
      n: place.n,
      codes: codesAt(reader, place, own),
      blocks: tableBlocks(place),
      centre: decode === 'signed' || decode === 'mid' ? centreOf(decode, own) : centreOf('ab', own),
      hasOffset: decode === 'ab',
    };
    const columns = {
      ...centredColumns(uncentre(centredTable(reader, place, own), own), codes),
      bias: storedBias(reader, place, own),
    };
    return [{ projection, codes, columns, learns }];
  });
}

/** What the set stores of tables that learnt, by projection. */
export function storedTables(
  tables: Tables,
  student: readonly StudentProjection[],
  bits: Precision,
  layout: SetLayout,
): ReadonlyMap<string, StoredTable> {
  const codes = new Map(student.map((each) => [each.codes.name, each.codes]));
  return new Map(
    [...tables].map(([id, columns]) => [id, storedTable(columns, codes.get(id) as FrozenCodes, bits, layout)]),
  );
}

/** The tables that are read again from what is stored. */
export function storedAgain(
  tables: Tables,
  student: readonly StudentProjection[],
  bits: Precision,
  layout: SetLayout,
): Tables {
  const stored = storedTables(tables, student, bits, layout);
  const codes = new Map(student.map((each) => [each.codes.name, each.codes]));
  return new Map(
    [...stored].map(([id, table]) => {
      const own = codes.get(id) as FrozenCodes;
      const { scale, offset } = decompressTable(table);
      const again = layout.decode === 'ab' ? { scale, offset } : { scale, offset: scale };
      const bias = table.bias && float16ToFloat32(table.bias);
      const { latent } = tables.get(id) as CentredColumns;
      return [id, { ...centredColumns(uncentre(again, bits), own), bias, latent }];
    }),
  );
}

function storedTable(columns: CentredColumns, codes: FrozenCodes, bits: Precision, layout: SetLayout): StoredTable {
  const centred: CentredTable = centre(decodeColumns(columns, codes), bits);
  const kept =
    layout.decode === 'ab' ? centred : { scale: centred.scale, offset: new Float32Array(centred.scale.length) };
  const stored = compressTable(kept, layout.tables, codes.name);
  return columns.bias === undefined ? stored : { ...stored, bias: float32ToFloat16(columns.bias) };
}
