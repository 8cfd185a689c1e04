/**
 * Solved projections as files: each is immutable and named by the digest of all it was made from (weights, statistics, options,
 * tool), so a run that was interrupted goes on, and a run with the same inputs takes what is there.
 */
import { createHash } from 'node:crypto';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { staged } from '../../convert/output.js';
import { DTYPES } from '../../ir/dtype.js';
import type { StoredWeight } from '../../kernels/load-rows.js';
import type { Precision } from '../../quant/precision.js';
import type { Solved, SolveReport } from '../../quant/solve/options.js';
import type { DecodeTable } from '../../quant/tables.js';
import { TOOL } from '../../version.js';

/** Raised when the solver finds other codes or tables for the same input. */
const REVISION = 2;

interface Header {
  readonly rows: number;
  readonly cols: number;
  /** Entries of each table column. */
  readonly entries: number;
  readonly bits: readonly Precision[];
  readonly report: Omit<SolveReport, 'error'> & {
    readonly error: readonly (readonly [Precision, { before: number; after: number }])[];
  };
}

/** A folder of solved projections; without a folder nothing is kept. */
export class SolvedFiles {
  readonly #folder: string | undefined;

  constructor(folder: string | undefined) {
    this.#folder = folder;
    if (folder !== undefined) mkdirSync(folder, { recursive: true });
  }

  /** The name of a solution: a digest of the weight's bytes and of everything else in `facts`. */
  key(weight: StoredWeight, facts: unknown): string {
    if (this.#folder === undefined) return '';
    const { bytes, dtype, layout, rows, cols } = weight;
    const hash = createHash('sha256').update(
      JSON.stringify([TOOL, REVISION, dtype, layout, rows, cols, DTYPES[dtype].onnx, facts]),
    );
    return hash.update(bytes).digest('hex');
  }

  /** The solution of this name, or undefined when it is not there or not whole. */
  find(key: string): Solved | undefined {
    if (this.#folder === undefined) return undefined;
    try {
      return decode(readFileSync(this.#path(key)));
    } catch {
      return undefined;
    }
  }

  save(key: string, solved: Solved, cols: number): void {
    if (this.#folder === undefined) return;
    staged(this.#path(key), (path) => writeFileSync(path, encode(solved, cols)));
  }

  #path(key: string): string {
    return join(this.#folder ?? '', `${key}.solved`);
  }
}

/** 4 bytes with the length of a JSON header, the header padded to 8 bytes, float32 columns, codes. */
function encode({ codes, parent, tables, report }: Solved, cols: number): Buffer {
  const header: Header = {
    rows: codes.length / cols,
    cols,
    entries: parent.scale.length,
    bits: [...tables.keys()],
    report: { ...report, error: [...report.error] },
  };
  const text = JSON.stringify(header);
  const json = Buffer.from(text.padEnd(Math.ceil((Buffer.byteLength(text) + 4) / 8) * 8 - 4));
  const length = Buffer.alloc(4);
  length.writeUInt32LE(json.length);
  const columns = [parent.scale, parent.zero, ...[...tables.values()].flatMap(({ scale, offset }) => [scale, offset])];
  const views = columns.map((column) => Buffer.from(column.buffer, column.byteOffset, column.byteLength));
  return Buffer.concat([length, json, ...views, codes]);
}

function decode(file: Buffer): Solved | undefined {
  const length = file.readUInt32LE(0);
  const header = JSON.parse(file.toString('utf8', 4, 4 + length)) as Header;
  const { rows, cols, entries, bits, report } = header;
  let at = 4 + length;
  if (file.length !== at + entries * 4 * (2 + 2 * bits.length) + rows * cols) return undefined;
  const column = (): Float32Array => {
    const values = new Float32Array(entries);
    new Uint8Array(values.buffer).set(file.subarray(at, at + entries * 4));
    at += entries * 4;
    return values;
  };
  const parent = { scale: column(), zero: column() };
  const tables = new Map(bits.map((each): [Precision, DecodeTable] => [each, { scale: column(), offset: column() }]));
  const codes = new Uint8Array(file.subarray(at));
  return { codes, parent, tables, report: { ...report, error: new Map(report.error) } };
}
