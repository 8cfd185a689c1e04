/**
 * Trained blocks as files: each is immutable and named by the digest of all it was made from, so a run that was interrupted goes
 * on with the next block, and a run with the same inputs takes what is there.
 */
import { createHash } from 'node:crypto';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { BlockHistory, TrainedBlock } from '../../calibrate/train/train.js';
import { staged } from '../../convert/output.js';
import { TOOL } from '../../version.js';

interface Header {
  readonly history: BlockHistory;
  readonly arrays: readonly (readonly [name: string, length: number])[];
}

/** A folder of trained blocks; without a folder nothing is kept. */
export class LearnedFiles {
  readonly #folder: string | undefined;

  constructor(folder: string | undefined) {
    this.#folder = folder;
    if (folder !== undefined) mkdirSync(folder, { recursive: true });
  }

  key(facts: unknown): string {
    return createHash('sha256')
      .update(JSON.stringify([TOOL, facts]))
      .digest('hex');
  }

  /** The block of this name, or undefined when it is not there or not whole. */
  find(key: string): TrainedBlock | undefined {
    if (this.#folder === undefined) return undefined;
    try {
      return decode(readFileSync(this.#path(key)));
    } catch {
      return undefined;
    }
  }

  save(key: string, trained: TrainedBlock): void {
    if (this.#folder === undefined) return;
    staged(this.#path(key), (path) => writeFileSync(path, encode(trained)));
  }

  #path(key: string): string {
    return join(this.#folder ?? '', `${key}.learned`);
  }
}

/** 4 bytes with the length of a JSON header, the header, float32 arrays. */
function encode({ learned, ...history }: TrainedBlock): Buffer {
  const arrays = [...learned].map(([name, values]) => [name, values.length] as const);
  const header: Header = { history, arrays };
  const text = Buffer.from(JSON.stringify(header));
  const length = Buffer.alloc(4);
  length.writeUInt32LE(text.length);
  const views = [...learned.values()].map((each) => Buffer.from(each.buffer, each.byteOffset, each.byteLength));
  return Buffer.concat([length, text, ...views]);
}

function decode(file: Buffer): TrainedBlock | undefined {
  let at = 4 + file.readUInt32LE(0);
  const { history, arrays } = JSON.parse(file.toString('utf8', 4, at)) as Header;
  if (file.length !== at + 4 * arrays.reduce((sum, [, length]) => sum + length, 0)) return undefined;
  const learned = arrays.map(([name, length]): [string, Float32Array] => {
    const values = new Float32Array(length);
    new Uint8Array(values.buffer).set(file.subarray(at, at + 4 * length));
    at += 4 * length;
    return [name, values];
  });
  return { ...history, learned: new Map(learned) };
}
