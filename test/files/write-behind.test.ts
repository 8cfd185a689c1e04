import { closeSync, openSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from '@jest/globals';
import { WriteBehind } from '../../src/files/write-behind.js';
import { SLOT_BYTES, SLOTS } from '../../src/files/write-behind-ring.js';
import { createRandom } from '../../src/random.js';
import { temporaryFolder } from '../support/paths.js';

/** Pieces of odd lengths, several times what the ring holds, in an order that is not that of the file. */
function pieces(): { readonly bytes: Uint8Array; readonly offset: number }[] {
  const random = createRandom(7);
  const lengths = [
    0,
    1,
    SLOT_BYTES,
    SLOT_BYTES + 1,
    3 * SLOT_BYTES - 5,
    ...Array.from({ length: 40 }, (_, i) => i * 30_011),
  ];
  let offset = 0;
  const made = lengths.map((length) => {
    const value = random.integer(256);
    const bytes = Uint8Array.from({ length }, (_, at) => value + at * 7);
    const piece = { bytes, offset };
    offset += length;
    return piece;
  });
  return made.map((_, at) => made[(at * 7) % made.length] as (typeof made)[number]);
}

function open(name = 'data', flags = 'wx'): { path: string; descriptor: number } {
  const path = join(temporaryFolder(), name);
  return { path, descriptor: openSync(path, flags) };
}

describe('WriteBehind', () => {
  it.each([0, 10 << 20, 1e12])('puts every byte in its place when a thread starts at %d bytes', (from) => {
    const { path, descriptor } = open();
    const writer = new WriteBehind(descriptor, from);
    const all = pieces();
    for (const [at, { bytes, offset }] of all.entries()) {
      const room = at % 3 > 0 && bytes.length <= SLOT_BYTES;
      const scratch = room ? writer.room().subarray(at % 3 === 1 ? 0 : SLOT_BYTES - bytes.length) : bytes.slice();
      scratch.set(bytes);
      writer.write(scratch.subarray(0, bytes.length), offset);
      if (!room) scratch.fill(0); // the caller's memory is free at once
    }
    writer.finish();
    closeSync(descriptor);
    const written = readFileSync(path);
    expect(written.length).toBe(all.reduce((sum, { bytes }) => sum + bytes.length, 0));
    for (const { bytes, offset } of all) {
      expect(Buffer.compare(written.subarray(offset, offset + bytes.length), bytes)).toBe(0);
    }
  });

  it('says at the end what a write failed with, and never blocks', () => {
    const { path, descriptor } = open();
    closeSync(descriptor);
    const readOnly = openSync(path, 'r');
    const writer = new WriteBehind(readOnly, 0);
    expect(() => {
      for (let i = 0; i < 3 * SLOTS; i++) writer.write(new Uint8Array(SLOT_BYTES), i * SLOT_BYTES);
      writer.finish();
    }).toThrow(expect.objectContaining({ code: 'EBADF' }));
    writer.abandon();
    closeSync(readOnly);
  });
});
