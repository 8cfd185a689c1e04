/**
 * One group's statistics as a record. The Gram triangle is rounded to float32 (6e-8 relative, far below the noise of any calibration
 * text); sums stay float64.
 */

import { checkRecord, type RecordName, readRecord } from '../files/record.js';
import { saveRecord } from '../files/staged-record.js';
import { type GroupStatistics, triangleLength } from './statistics.js';

const nameOf = (digest: string, group: string): RecordName => ({ kind: 'statistics', key: `${digest} ${group}` });

interface Facts {
  readonly k: number;
  readonly tokens: number;
  readonly weight?: number;
}

/** Writes a group of the statistics with this digest. */
export function writeTensors(path: string, digest: string, statistics: GroupStatistics): void {
  const { group, k, tokens, gram, sum, weight } = statistics;
  const facts: Facts = { k, tokens, ...(weight !== undefined && { weight }) };
  saveRecord(path, nameOf(digest, group), facts, [
    { name: 'gram', data: gram, as: 'F32' },
    { name: 'sum', data: sum },
  ]);
}

/** Reads one group back. Error codes `file-missing` and `damaged-file` when the file is not the one that was written. */
export function readTensors(path: string, group: string, digest: string): GroupStatistics {
  const { facts, arrays } = readRecord(path, nameOf(digest, group), ['gram']);
  const { k, ...counted } = facts as Facts;
  const [gram, sum] = [arrays.get('gram'), arrays.get('sum')];
  if (!(gram instanceof Float64Array && sum instanceof Float64Array && gram.length === triangleLength(k)))
    throw new Error(`${path} was written by something else`);
  return { group, k, ...counted, gram, sum };
}

/** Fails with the same errors as `readTensors`, in less memory. */
export function checkTensors(path: string, group: string, digest: string): void {
  checkRecord(path, nameOf(digest, group));
}
