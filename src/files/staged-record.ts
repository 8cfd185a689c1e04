/** Records, written beside their target and renamed when complete. */
import { type RecordColumn, type RecordName, writeRecord } from './record.js';
import { staged } from './staging.js';

/** Writes a record, and the folder it lies in. */
export function saveRecord(path: string, name: RecordName, facts: unknown, columns: readonly RecordColumn[]): void {
  staged(path, (temporary) => writeRecord(temporary, name, facts, columns));
}
