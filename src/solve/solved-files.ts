/**
 * Solved projections as files: each is immutable and named by the digest of all it was made from (weights, statistics, options,
 * tool), so a run that was interrupted goes on, and a run with the same inputs takes what is there.
 */
import { createHash } from 'node:crypto';
import type { OnKept } from '../files/machine.js';
import type { RecordColumn, RecordContents } from '../files/record.js';
import { RecordFolder, type RecordFormat } from '../files/record-folder.js';
import type { StoredWeight } from '../kernels/load-rows.js';
import type { Log } from '../log.js';
import { DTYPES } from '../onnx/ir/dtype.js';
import type { Precision } from '../quant/precision.js';
import type { DecodeTable } from '../quant/tables.js';
import { TOOL } from '../version.js';
import type { Solved, SolveReport } from './kernel/options.js';

/** Raised when the solver finds other codes or tables for the same input. */
const REVISION = 3;

interface Header {
  readonly bits: readonly Precision[];
  /** Without the time that it took, so that whoever solves it writes the same bytes. */
  readonly report: Omit<SolveReport, 'error' | 'seconds'> & {
    readonly error: readonly (readonly [Precision, { before: number; after: number }])[];
  };
}

/** A folder of solved projections; without a folder nothing is kept. */
export class SolvedFiles extends RecordFolder<Solved> {
  constructor(folder: string | undefined, log: Log, onKept?: OnKept) {
    super(folder, log, FORMAT, onKept);
  }

  /** The name of a solution: a digest of the weight's bytes and of everything else in `facts`. */
  key(weight: StoredWeight, facts: unknown): string {
    if (this.folder === undefined) return '';
    const { bytes, dtype, layout, rows, cols } = weight;
    const hash = createHash('sha256').update(
      JSON.stringify([TOOL, REVISION, dtype, layout, rows, cols, DTYPES[dtype].onnx, facts]),
    );
    return hash.update(bytes).digest('hex');
  }
}

function factsOf({ tables, report: { seconds: _, ...report } }: Solved): Header {
  return { bits: [...tables.keys()], report: { ...report, error: [...report.error] } };
}

function columnsOf({ codes, parent, tables }: Solved): readonly RecordColumn[] {
  return [
    { name: 'scale', data: parent.scale },
    { name: 'zero', data: parent.zero },
    ...[...tables].flatMap(([bits, { scale, offset }]) => [
      { name: `scale ${bits}`, data: scale },
      { name: `offset ${bits}`, data: offset },
    ]),
    { name: 'codes', data: codes },
  ];
}

function decode({ facts, arrays }: RecordContents): Solved {
  const { bits, report } = facts as Header;
  const column = (name: string): Float32Array => arrays.get(name) as Float32Array;
  const tables = bits.map((each): [Precision, DecodeTable] => [
    each,
    { scale: column(`scale ${each}`), offset: column(`offset ${each}`) },
  ]);
  return {
    codes: arrays.get('codes') as Uint8Array,
    parent: { scale: column('scale'), zero: column('zero') },
    tables: new Map(tables),
    report: { ...report, seconds: 0, error: new Map(report.error) },
  };
}

const FORMAT: RecordFormat<Solved> = {
  kind: 'solved',
  encode: (solved) => ({ facts: factsOf(solved), columns: columnsOf(solved) }),
  decode,
};
