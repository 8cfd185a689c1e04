/** Results as files of one folder: each is an immutable record named by its key, the digest of all that the result was made from. */
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import type { Log } from '../log.js';
import type { OnKept } from './machine.js';
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
  readonly #onKept: OnKept | undefined;

  constructor(folder: string | undefined, log: Log, format: RecordFormat<T>, onKept?: OnKept) {
    this.folder = folder;
    this.#log = log;
    this.#format = format;
    this.#onKept = onKept;
    if (folder !== undefined) mkdirSync(folder, { recursive: true });
  }

  /** The result of this key, or undefined when it is not there or, which is said, damaged. */
  find(key: string): T | undefined {
    const { kind, decode } = this.#format;
    if (this.folder === undefined) return undefined;
    const path = join(this.folder, `${key}.${kind}`);
    const found = findRecord(path, { kind, key }, this.#log, decode);
    if (found !== undefined) this.#onKept?.(path);
    return found;
  }

  save(key: string, result: T): void {
    if (this.folder === undefined) return;
    const { kind } = this.#format;
    const { facts, columns } = this.#format.encode(result);
    const path = join(this.folder, `${key}.${kind}`);
    saveRecord(path, { kind, key }, facts, columns);
    this.#onKept?.(path);
  }
}
