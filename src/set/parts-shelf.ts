/** Where the parts of solved projections wait until they are written: in memory up to a bound, then in record files. */
import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { type RecordArray, type RecordColumn, readRecord, writeRecord } from '../files/record.js';
import { temporaryFolder } from '../files/temporary.js';
import { bytesOf } from '../files/transfer.js';
import type { CodedColumn, StoredTable } from '../quant/compress.js';
import type { ProjectionParts } from './stored-pieces.js';

/** Something that was put away. */
export interface Kept<T> {
  load(): T;
}

/** The parts of a projection beside its codes. */
export type KeptTables = Omit<ProjectionParts, 'codes'>;

/** Codes of 64 million weights stay in memory. */
const MOST_BYTES = 64e6;

export class PartsShelf {
  readonly #parent: string;
  readonly #most: number;
  #folder: string | undefined;
  #held = 0;
  #files = 0;

  /** Files go to a temporary folder inside `parent`, which is made when the first is needed. */
  constructor(parent: string, mostBytes: number = MOST_BYTES) {
    this.#parent = parent;
    this.#most = mostBytes;
  }

  /** Keeps codes. */
  keepCodes(codes: Uint8Array): Kept<Uint8Array> {
    const columns = [{ name: 'codes', data: codes }];
    return this.#keep(codes, columns, (arrays) => arrays.get('codes') as Uint8Array);
  }

  /** Keeps tables and zero points. */
  keepTables({ tables, zero }: KeptTables): Kept<KeptTables> {
    const columns = [...tables].flatMap(([bits, table]) => columnsOf(bits, table));
    const zeros = zero === undefined ? [] : [{ name: 'zero', data: zero }];
    return this.#keep({ tables, zero }, [...columns, ...zeros], (arrays) => ({
      tables: new Map([...tables.keys()].map((bits) => [bits, tableFrom(bits, arrays)])),
      zero: arrays.get('zero') as Uint8Array | undefined,
    }));
  }

  /** Removes the files. */
  close(): void {
    if (this.#folder !== undefined) rmSync(this.#folder, { recursive: true, force: true });
  }

  #keep<T>(value: T, columns: readonly RecordColumn[], from: (arrays: ReadonlyMap<string, RecordArray>) => T): Kept<T> {
    const bytes = columns.reduce((sum, { data }) => sum + data.byteLength, 0);
    if (this.#held + bytes <= this.#most) {
      this.#held += bytes;
      return { load: () => value };
    }
    this.#folder ??= temporaryFolder('stored', this.#parent);
    const key = String(this.#files++);
    const path = join(this.#folder, `${key}.parts`);
    writeRecord(path, { kind: 'parts', key }, {}, columns);
    return { load: () => from(readRecord(path, { kind: 'parts', key }).arrays) };
  }
}

/** The arrays of a table, named by precision; 16-bit numbers as their bytes. */
function columnsOf(bits: number, { scale, offset, bias }: StoredTable): readonly RecordColumn[] {
  const named = { scale, offset, bias };
  return Object.entries(named).flatMap(([name, column]): readonly RecordColumn[] => {
    if (column === undefined) return [];
    if (column instanceof Uint16Array) return [{ name: `${bits} ${name} half`, data: bytesOf(column) }];
    const kind = column.codes instanceof Int8Array ? 'int8' : 'uint8';
    return [
      { name: `${bits} ${name} ${kind}`, data: bytesOf(column.codes) },
      { name: `${bits} ${name} supers`, data: bytesOf(column.supers) },
    ];
  });
}

function tableFrom(bits: number, arrays: ReadonlyMap<string, RecordArray>): StoredTable {
  const bytes = (name: string): Uint8Array | undefined => arrays.get(`${bits} ${name}`) as Uint8Array | undefined;
  const halves = (name: string): Uint16Array | undefined => {
    const found = bytes(name);
    return found && new Uint16Array(found.buffer, found.byteOffset, found.length / 2);
  };
  const bias = halves('bias half');
  const half = halves('scale half');
  if (half !== undefined) return { form: 'fp16', scale: half, offset: halves('offset half'), ...(bias && { bias }) };
  const column = (name: string): CodedColumn | undefined => {
    const supers = halves(`${name} supers`);
    if (supers === undefined) return undefined;
    const signed = bytes(`${name} int8`);
    const codes = signed === undefined ? (bytes(`${name} uint8`) as Uint8Array) : signed;
    return {
      codes: signed === undefined ? codes : new Int8Array(codes.buffer, codes.byteOffset, codes.length),
      supers,
    };
  };
  return { form: 'c8', scale: column('scale') as CodedColumn, offset: column('offset'), ...(bias && { bias }) };
}
