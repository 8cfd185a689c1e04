/**
 * Reading and writing until everything is done: a call of the system may transfer less than it was asked for, on network disks and
 * after signals as well as near the end of a file. Whoever reads or writes by position does so here.
 */
import { readSync, writeSync } from 'node:fs';
import { fail } from '../diagnostics.js';

/** Linux transfers at most 2 GiB - 4 KiB in one call. */
const MOST = 1 << 30;

/** Fills `into` from byte `position` on. Returns the number of bytes read: less than `into.length` only where the file ends. */
export function readFully(descriptor: number, into: Uint8Array, position: number): number {
  let done = 0;
  while (done < into.length) {
    const count = readSync(descriptor, into, done, Math.min(into.length - done, MOST), position + done);
    if (count === 0) break;
    done += count;
  }
  return done;
}

/** Writes all of `bytes` from byte `position` on; without a position, where the file stands. */
export function writeFully(descriptor: number, bytes: Uint8Array, position?: number): void {
  for (let done = 0; done < bytes.length; ) {
    const at = position === undefined ? null : position + done;
    const count = writeSync(descriptor, bytes, done, Math.min(bytes.length - done, MOST), at);
    if (count === 0) throw new Error('the system writes nothing and gives no reason');
    done += count;
  }
}

/** The bytes [start, end) of an open file, in fresh memory or in the beginning of `into`. Error code `precision-missing`. */
export function readExactly(
  descriptor: number,
  start: number,
  end: number,
  at: string,
  into: Uint8Array = new Uint8Array(end - start),
): Uint8Array {
  const bytes = into.subarray(0, end - start);
  if (readFully(descriptor, bytes, start) < bytes.length)
    fail('precision-missing', at, `the file ends before byte ${end}`);
  return bytes;
}

/** The bytes of a typed array, not copied. */
export const bytesOf = (data: ArrayBufferView): Uint8Array =>
  new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
