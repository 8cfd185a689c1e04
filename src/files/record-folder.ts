/** Results as files of one folder: each is an immutable record named by its key, the digest of all that the result was made from. */
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import type { Log } from '../log.js';
import { findRecord, type RecordColumn, type RecordContents } from './record.js';
import { saveRecord } from './staged-record.js';

/** How results of one kind become records `KEY.KIND`, and results again. */
export interface RecordFormat<T> {
  readonly kind: string;
  encode(result: T): { readonly facts: unknown; readonly columns: readonly RecordColumn[] };
  decode(contents: RecordContents): T;
}

/** A folder of results; without a folder nothing is kept. */
export class RecordFolder<T> {
  protected readonly folder: string | undefined;
  readonly #log: Log;
  readonly #format: RecordFormat<T>;

  constructor(folder: string | undefined, log: Log, format: RecordFormat<T>) {
    this.folder = folder;
    this.#log = log;
    this.#format = format;
    if (folder !== undefined) mkdirSync(folder, { recursive: true });
  }

  /** The result of this key, or undefined when it is not there or, which is said, damaged. */
  find(key: string): T | undefined {
    const { kind, decode } = this.#format;
    if (this.folder === undefined) return undefined;
    return findRecord(join(this.folder, `${key}.${kind}`), { kind, key }, this.#log, decode);
  }

  save(key: string, result: T): void {
    if (this.folder === undefined) return;
    const { kind } = this.#format;
    const { facts, columns } = this.#format.encode(result);
    saveRecord(join(this.folder, `${key}.${kind}`), { kind, key }, facts, columns);
  }
}
