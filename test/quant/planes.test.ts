import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { blocksOf } from '../../src/quant/grid.js';
import { packMatMulNBits, rowBytes, unpackRows } from '../../src/quant/pack.js';
import { planPlanes } from '../../src/quant/planes.js';
import { containerBits, PRECISIONS, type Precision } from '../../src/quant/precision.js';
import { containerCodes } from '../support/fit-tables.js';
import { fieldOf, joinPlanes, planesFor, splitPlanes } from '../support/packing.js';
import { oracle, type Sample, samples } from './support.js';

const numpy = oracle<{
  rows: number;
  k: number;
  block: number;
  codes: number[];
  containers: Record<Precision, number[]>;
}>('planes');
const codes = Uint8Array.from(numpy.codes);
const blocks = blocksOf(numpy.k, numpy.block);

/** All 127 chains of precisions. */
const chains = Array.from({ length: 127 }, (_, i) => PRECISIONS.filter((_bits, bit) => (i + 1) & (1 << bit)));
const widthsOf = (chain: readonly Precision[]): number[] => planPlanes(chain).map((plane) => plane.width);

describe('planPlanes', () => {
  it.each<[Precision[], number[]]>([
    [
      [2, 3, 4, 6, 8],
      [2, 1, 1, 2, 2],
    ],
    [
      [8, 4, 2],
      [2, 2, 4],
    ],
    [[8], [8]],
    [[3], [2, 1]],
    [
      [5, 8],
      [4, 1, 2, 1],
    ],
    [[6], [4, 2]],
    [[7], [4, 2, 1]],
    [
      [2, 7],
      [2, 4, 1],
    ],
    [
      [2, 8],
      [2, 4, 2],
    ],
  ])('cuts the chain %j into planes of %j bits', (chain, widths) => {
    expect(widthsOf(chain)).toEqual(widths);
  });

  it('covers the leading bits of every chain without a gap', () => {
    for (const chain of chains) {
      const planes = planPlanes(chain);
      planes.forEach((plane, i) => {
        expect(plane.above).toBe(planes.slice(0, i).reduce((sum, { width }) => sum + width, 0));
      });
      const covered = (bits: Precision): number => planesFor(planes, bits).reduce((sum, { width }) => sum + width, 0);
      expect(chain.map(covered)).toEqual(chain);
    }
  });

  it('refuses a precision between two boundaries, and an empty chain', () => {
    const missing = /no boundary/;
    expect(() => planesFor(planPlanes([2, 4, 8]), 3)).toThrow(missing);
    expect(() => planesFor(planPlanes([4, 8]), 2)).toThrow(missing);
    expect(() => planesFor(planPlanes([2, 4]), 8)).toThrow(missing);
    expect(() => planPlanes([])).toThrow(expect.objectContaining({ code: 'bad-usage' }));
  });
});

describe('planes', () => {
  it('join to what numpy makes of the parent codes, for every precision of every chain', () => {
    for (const chain of chains) {
      const stored = splitPlanes(codes, numpy.rows, blocks, planPlanes(chain));
      for (const bits of chain) {
        expect([...joinPlanes(stored, numpy.rows, blocks, bits)]).toEqual(numpy.containers[bits]);
      }
    }
  });

  it('join to the packed containers of the prefix slice', () => {
    const check = ({ rows, blocks: shape, codes: parent }: Sample, chain: readonly Precision[]): void => {
      const stored = splitPlanes(parent, rows, shape, planPlanes(chain));
      for (const bits of chain) {
        const direct = packMatMulNBits(containerCodes(parent, 'prefix', bits), rows, shape, containerBits(bits));
        expect(joinPlanes(stored, rows, shape, bits)).toEqual(direct);
      }
    };
    fc.assert(fc.property(samples, fc.constantFrom(...chains), check));
  });

  it.each([2, 4, 8] as const)('need no work when the first plane is an int%i model', (bits) => {
    const stored = splitPlanes(codes, numpy.rows, blocks, planPlanes([bits, 8]));
    expect([...(stored[0]?.bytes ?? [])]).toEqual(numpy.containers[bits]);
    expect(joinPlanes(stored, numpy.rows, blocks, bits)).toEqual(stored[0]?.bytes);
  });

  it('serve a smaller precision from the first planes alone', () => {
    const stored = splitPlanes(codes, numpy.rows, blocks, planPlanes([2, 3, 4, 6, 8]));
    expect([...joinPlanes(stored.slice(0, 2), numpy.rows, blocks, 3)]).toEqual(numpy.containers[3]);
    expect(() => joinPlanes(stored.slice(0, 2), numpy.rows, blocks, 4)).toThrow(/no boundary/);
  });

  it('are exactly their own bits, and as long as the layout says', () => {
    for (const { plane, bytes } of splitPlanes(codes, numpy.rows, blocks, planPlanes([2, 3, 4, 8]))) {
      expect(bytes).toHaveLength(numpy.rows * rowBytes(blocks, plane.width));
      const fields = unpackRows(bytes, numpy.rows, blocks, plane.width);
      expect([...fields]).toEqual(
        [...codes].map((q) => Math.floor(q / 2 ** (8 - plane.above - plane.width)) % 2 ** plane.width),
      );
      expect([...fields]).toEqual([...codes].map((q) => fieldOf(q, plane)));
    }
  });
});
