/**
 * Graphs that hold the SHA-256 of themselves: an entry of the model's metadata whose value is the digest of the file with zeros in
 * its place. A graph is small and travels alone, so it needs no other file to be checked.
 */
import { createHash } from 'node:crypto';
import { bytesPayload, CHUNK, chunksOf, type Payload } from '../../files/payload.js';
import type { DataFile } from './data-file.js';

/** The key of the entry. */
export const SEAL = 'matquant.sha256';
/** The value of the entry before the digest is known. */
export const BLANK_SEAL: string = '0'.repeat(64);

/** What stands before the digest in a file: field 1 with the key, then field 2 of 64 bytes (`StringStringEntryProto`). */
const MARKER: Buffer = Buffer.concat([
  Buffer.from([0x0a, SEAL.length]),
  Buffer.from(SEAL),
  Buffer.from([0x12, BLANK_SEAL.length]),
]);

/** Puts the digest into an encoded model that has the blank entry, which lies behind the graph. */
export function sealPieces(pieces: readonly Payload[]): readonly Payload[] {
  const hash = createHash('sha256');
  for (const piece of pieces) for (const chunk of chunksOf(piece)) hash.update(chunk);
  const digest = Buffer.from(hash.digest('hex'));
  for (let index = pieces.length - 1; index >= 0; index--) {
    const piece = pieces[index] as Payload;
    const bytes = Buffer.from(piece.read(0, piece.length));
    const at = bytes.lastIndexOf(MARKER);
    if (at < 0) continue;
    bytes.set(digest, at + MARKER.length);
    return pieces.with(index, bytesPayload(bytes));
  }
  throw new Error('the model has no entry for its digest');
}

/** True when the file has a digest of itself and it holds. */
export function isSealedFile(file: DataFile): boolean {
  const at = findSeal(file);
  if (at === undefined) return false;
  const end = at + BLANK_SEAL.length;
  const hash = createHash('sha256');
  updateWith(hash, file, 0, at);
  hash.update(BLANK_SEAL);
  updateWith(hash, file, end, file.length);
  return hash.digest('hex') === Buffer.from(file.read(at, end)).toString('latin1');
}

function updateWith(hash: ReturnType<typeof createHash>, file: DataFile, from: number, to: number): void {
  for (let at = from; at < to; at += CHUNK) hash.update(file.read(at, Math.min(at + CHUNK, to)));
}

/** Offset of the digest: behind the last marker of the file. */
function findSeal(file: DataFile): number | undefined {
  for (let end = file.length; end > 0; end -= CHUNK) {
    const start = Math.max(0, end - CHUNK);
    const stop = Math.min(file.length, end + MARKER.length - 1);
    const found = Buffer.from(file.read(start, stop)).lastIndexOf(MARKER);
    const at = start + found + MARKER.length;
    if (found >= 0) return at + BLANK_SEAL.length <= file.length ? at : undefined;
  }
  return undefined;
}
