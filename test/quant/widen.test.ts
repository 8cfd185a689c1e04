import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { blocksOf } from '../../src/quant/grid.js';
import { wideningOf, widenTable } from '../../src/quant/join-table.js';
import { packMatMulNBits } from '../../src/quant/pack.js';
import { type Plane, planPlanes } from '../../src/quant/planes.js';
import { containerBits, PRECISIONS } from '../../src/quant/precision.js';
import { joinPieces } from '../../src/quant/widen.js';
import { containerCodes } from '../support/fit-tables.js';
import { planesFor, splitPlanes } from '../support/packing.js';

describe('joinPieces', () => {
  it('equals the container codes packed directly, for every chain', () => {
    const chains = fc.uniqueArray(fc.constantFrom(...PRECISIONS), { minLength: 1 });
    fc.assert(
      fc.property(
        chains,
        fc.integer({ min: 1, max: 9 }),
        fc.integer({ min: 1, max: 200 }),
        fc.nat(),
        (chain, rows, k, seed) => {
          const blocks = blocksOf(k, 16);
          const codes = Uint8Array.from({ length: rows * k }, (_, i) => (i * 2654435761 + seed) >>> 11);
          const all = splitPlanes(codes, rows, blocks, planPlanes(chain));
          for (const bits of chain) {
            const needed = planesFor(planPlanes(chain), bits);
            const planes = needed.map((plane, at) => ({
              read: (start: number, end: number) => all[at]?.bytes.subarray(start, end) as Uint8Array,
              widening: wideningOf(plane, bits),
            }));
            const container = containerBits(bits);
            const expected = packMatMulNBits(containerCodes(codes, 'prefix', bits), rows, blocks, container);
            const count = rows * blocks.count * blocks.block;
            expect(joinPieces(planes, 0, count, container)).toEqual(expected);
            const used = new Uint8Array((count * container) / 8 + 5).fill(255);
            expect(joinPieces(planes, 0, count, container, used)).toEqual(expected);
            const from = 16 * (seed % (count / 16));
            const part = expected.subarray((from * container) / 8);
            expect(new Uint8Array(joinPieces(planes, from, count, container, new Uint8Array(1)))).toEqual(part);
          }
        },
      ),
    );
  });

  it('joins more than one piece', () => {
    const codes = 3 * 256 * 1024 + 16;
    const bytes = Uint8Array.from({ length: codes / 4 }, (_, i) => (i * 97) >>> 3);
    const [plane] = planPlanes([2, 8]);
    const widening = wideningOf(plane as Plane, 8);
    const read = (start: number, end: number) => bytes.subarray(start, end);
    const out = joinPieces([{ read, widening }], 32, codes, 8);
    expect(out.length).toBe(codes - 32);
    expect(out.every((byte, i) => byte === (((bytes[(i + 32) >> 2] as number) >> (2 * (i & 3))) & 3) << 6)).toBe(true);
  });
});

describe('widenTable', () => {
  it('has the codes of a byte in each row', () => {
    const table = widenTable({ width: 2, lift: 2, container: 4 });
    // Fields 3, 2, 1, 0 of the byte 0b00011011, each two bits above the bottom of a nibble.
    expect([...table.subarray(0b00011011 * 2, 0b00011011 * 2 + 2)]).toEqual([0b10001100, 0b00000100]);
  });
});
