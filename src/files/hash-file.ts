/** The digest of a file with its state before and after, for the thread that takes it and for small files. */
import { createHash } from 'node:crypto';
import { closeSync, openSync } from 'node:fs';
import { type FileState, stateOf } from './file-state.js';
import { readFully } from './transfer.js';

const PIECE = 4 << 20;

export interface HashedFile {
  readonly path: string;
  readonly sha256: string;
  readonly before: FileState | undefined;
  readonly after: FileState | undefined;
}

/** Reads a file to its end. Throws the system's error when it cannot be opened or read. */
export function hashFile(path: string): HashedFile {
  const descriptor = openSync(path, 'r');
  try {
    const before = stateOf(descriptor);
    const hash = createHash('sha256');
    const piece = new Uint8Array(Math.min(PIECE, Math.max(1, before?.bytes ?? PIECE)));
    for (let at = 0; ; ) {
      const count = readFully(descriptor, piece, at);
      hash.update(piece.subarray(0, count));
      at += count;
      if (count < piece.length) break;
    }
    return { path, sha256: hash.digest('hex'), before, after: stateOf(descriptor) };
  } finally {
    closeSync(descriptor);
  }
}
