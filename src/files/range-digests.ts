/** SHA-256 of ranges of a file. What was digested stays known as long as the process runs and the file is the same. */
import { createHash } from 'node:crypto';
import { type BigIntStats, closeSync, fstatSync, openSync } from 'node:fs';
import { fail } from '../diagnostics.js';
import { readExactly } from './transfer.js';

const STEP = 8 << 20;
/** A file that was changed this shortly before it was read may change again without another time of change. */
const RACY_NS = 2_000_000_000n;

const known: Map<string, string> = new Map();

/** SHA-256 of [0, ends[0]), [ends[0], ends[1]), … Fails with `file-missing`, and with `precision-missing` when the file is shorter. */
export function digestsOf(path: string, ends: readonly number[]): readonly string[] {
  const descriptor = opened(path);
  try {
    const stats = fstatSync(descriptor, { bigint: true });
    const isSettled = BigInt(Date.now()) * 1_000_000n - stats.ctimeNs > RACY_NS;
    return ends.map((end, at) => {
      const start = ends[at - 1] ?? 0;
      const key = `${identityOf(stats)}:${start}:${end}`;
      const digest = known.get(key) ?? digestOfRange(descriptor, path, start, end);
      if (isSettled) known.set(key, digest);
      return digest;
    });
  } finally {
    closeSync(descriptor);
  }
}

/** SHA-256 of a whole file. */
export const digestOfWhole = (path: string): string => {
  const descriptor = opened(path);
  try {
    return digestOfRange(descriptor, path, 0, Number(fstatSync(descriptor).size));
  } finally {
    closeSync(descriptor);
  }
};

function digestOfRange(descriptor: number, path: string, start: number, end: number): string {
  const hash = createHash('sha256');
  const piece = new Uint8Array(Math.min(STEP, end - start));
  for (let at = start; at < end; at += STEP)
    hash.update(readExactly(descriptor, at, Math.min(at + STEP, end), path, piece));
  return hash.digest('hex');
}

function opened(path: string): number {
  try {
    return openSync(path, 'r');
  } catch {
    return fail('file-missing', path, 'The file cannot be opened');
  }
}

const identityOf = ({ dev, ino, size, mtimeNs, ctimeNs }: BigIntStats): string =>
  [dev, ino, size, mtimeNs, ctimeNs].join();
