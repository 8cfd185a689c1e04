/**
 * Trained blocks as files: each is immutable and named by the digest of all it was made from, so a run that was interrupted goes
 * on with the next block, and a run with the same inputs takes what is there.
 */
import { createHash } from 'node:crypto';
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { findRecord, type RecordContents, type RecordName } from '../files/record.js';
import { saveRecord } from '../files/staged-record.js';
import type { Log } from '../log.js';
import { TOOL } from '../version.js';
import type { BlockHistory, TrainedBlock } from './blocks/train.js';

/** A folder of trained blocks; without a folder nothing is kept. */
export class LearnedFiles {
  readonly #folder: string | undefined;
  readonly #log: Log;

  constructor(folder: string | undefined, log: Log) {
    this.#folder = folder;
    this.#log = log;
    if (folder !== undefined) mkdirSync(folder, { recursive: true });
  }

  key(facts: unknown): string {
    return createHash('sha256')
      .update(JSON.stringify([TOOL, facts]))
      .digest('hex');
  }

  /** The block of this name, or undefined when it is not there or, which is said, damaged. */
  find(key: string): TrainedBlock | undefined {
    if (this.#folder === undefined) return undefined;
    return findRecord(this.#path(key), nameOf(key), this.#log, decode);
  }

  save(key: string, { learned, ...history }: TrainedBlock): void {
    if (this.#folder === undefined) return;
    const columns = [...learned].map(([name, data]) => ({ name, data }));
    saveRecord(this.#path(key), nameOf(key), history, columns);
  }

  #path(key: string): string {
    return join(this.#folder ?? '', `${key}.learned`);
  }
}

const nameOf = (key: string): RecordName => ({ kind: 'learned', key });

const decode = ({ facts, arrays }: RecordContents): TrainedBlock => ({
  ...(facts as BlockHistory),
  learned: arrays as ReadonlyMap<string, Float32Array>,
});
