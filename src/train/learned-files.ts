/**
 * Trained blocks as files: each is immutable and named by the digest of all it was made from, so a run that was interrupted goes
 * on with the next block, and a run with the same inputs takes what is there.
 */
import { createHash } from 'node:crypto';
import type { OnKept } from '../files/machine.js';
import { RecordFolder, type RecordFormat } from '../files/record-folder.js';
import type { Log } from '../log.js';
import { TOOL } from '../version.js';
import type { BlockHistory, TrainedBlock } from './blocks/train.js';

const FORMAT: RecordFormat<TrainedBlock> = {
  kind: 'learned',
  encode: ({ learned, ...history }) => ({
    facts: history,
    columns: [...learned].map(([name, data]) => ({ name, data })),
  }),
  decode: ({ facts, arrays }) => ({
    ...(facts as BlockHistory),
    learned: arrays as ReadonlyMap<string, Float32Array>,
  }),
};

/** A folder of trained blocks; without a folder nothing is kept. */
export class LearnedFiles extends RecordFolder<TrainedBlock> {
  constructor(folder: string | undefined, log: Log, onKept?: OnKept) {
    super(folder, log, FORMAT, onKept);
  }

  key(facts: unknown): string {
    return createHash('sha256')
      .update(JSON.stringify([TOOL, facts]))
      .digest('hex');
  }

  /** The block of this key, made and kept where it is not there. */
  async findOr(key: string, make: () => Promise<TrainedBlock>): Promise<TrainedBlock> {
    const found = this.find(key);
    if (found !== undefined) return found;
    const made = await make();
    this.save(key, made);
    return made;
  }
}
