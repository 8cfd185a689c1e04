import { describe, expect, it } from '@jest/globals';
import { compressTable } from '../../src/quant/compress.js';
import { blocksOf } from '../../src/quant/grid.js';
import { planPlanes, splitPlanes } from '../../src/quant/planes.js';
import { storedBits, storedBitsPerWeight, storedBytes } from '../../src/quant/stored-bits.js';

describe('stored bits', () => {
  it.each([
    ['fp16', true, [1, 0.5, 0.25]],
    ['c8', true, [0.5625, 0.28125, 0.140625]],
    ['fp16', false, [0.5, 0.25, 0.125]],
    ['c8', false, [0.28125, 0.140625, 0.0703125]],
  ] as const)('of %s tables, offsets %s, over blocks of 32, 64 and 128', (form, offset, extra) => {
    expect([32, 64, 128].map((block) => storedBits(2, block, form, offset) - 2)).toEqual(extra);
  });

  it.each(['fp16', 'c8'] as const)('are the bytes that splitting and compressing (%s) really make', (form) => {
    const rows = 3;
    const blocks = blocksOf(40, 16);
    const planes = splitPlanes(new Uint8Array(rows * 40), rows, blocks, planPlanes([2, 3, 8]));
    const column = Float32Array.from({ length: rows * blocks.count }, (_, i) => 1 + i);
    const table = compressTable({ scale: column, offset: column }, form, 'x');
    const length = (part: typeof table.scale | undefined): number => {
      if (part === undefined) return 0;
      return 'codes' in part ? part.codes.byteLength + part.supers.byteLength : part.byteLength;
    };
    const codes = planes.slice(0, 2).reduce((sum, { bytes }) => sum + bytes.length, 0);
    expect(storedBytes({ rows, blocks, bits: 3, form, offset: true })).toBe(
      codes + length(table.scale) + length(table.offset),
    );
  });

  it('average over projections by their weights', () => {
    const wide = { rows: 16, blocks: blocksOf(256, 32), bits: 4, form: 'c8', offset: true } as const;
    const narrow = { ...wide, rows: 48, bits: 2 } as const;
    expect(storedBitsPerWeight([wide])).toBe(storedBits(4, 32, 'c8'));
    expect(storedBitsPerWeight([wide, narrow])).toBe(2.5 + 0.5625);
    expect(storedBitsPerWeight([])).toBe(0);
  });
});
