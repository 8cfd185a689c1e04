import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import {
  bytesNeeded,
  containerBlock,
  effectiveBits,
  type LayoutOptions,
  type PlannedProjection,
  type ProjectionPlace,
  planSet,
  type Range,
  type SetLayout,
} from '../../src/quant/layout.js';
import { bitsPerWeight, prefixRead, rangesRead, storedBytes } from '../../src/quant/layout-use.js';
import { PRECISIONS, type Precision } from '../../src/quant/precision.js';

const options: LayoutOptions = { bits: [8, 6, 4, 3, 2], block: 128, decode: 'ab', tables: 'c8' };
const gate = (id: string, k: number, n: number, minBits?: number): PlannedProjection => ({
  id,
  layer: 0,
  role: 'gate',
  k,
  n,
  ...(minBits === undefined ? {} : { minBits }),
});

const arbitraryOptions: fc.Arbitrary<LayoutOptions> = fc.record({
  bits: fc.uniqueArray(fc.constantFrom(...PRECISIONS), { minLength: 1 }),
  block: fc.constantFrom(...([16, 32, 64, 128, 256, 'channel'] as const)),
  decode: fc.constantFrom('ab', 'mid', 'signed', 'tied'),
  tables: fc.constantFrom('fp16', 'c8'),
});
const arbitraryProjection = fc
  .tuple(fc.integer({ min: 1, max: 700 }), fc.integer({ min: 1, max: 90 }), fc.option(fc.constantFrom(...PRECISIONS)))
  .map(([k, n, floor]) => ({ k, n, floor }));
const arbitrarySet = fc
  .tuple(fc.array(arbitraryProjection, { minLength: 1, maxLength: 5 }), fc.array(fc.nat(200_000)), arbitraryOptions)
  .map(([shapes, rest, each]) =>
    planSet(
      shapes.map(({ k, n, floor }, at) => gate(`layers.${at}.gate`, k, n, floor ?? undefined)),
      rest,
      each,
    ),
  );

function allRanges({ rest, projections }: SetLayout): readonly Range[] {
  const tables = projections.flatMap((place) => place.tables);
  const columns = tables.flatMap(({ scale, offset }) => [scale, ...(offset ? [offset] : [])]);
  return [
    ...rest,
    ...projections.flatMap((place) => place.planes),
    ...columns,
    ...columns.flatMap(({ supers }) => (supers ? [supers] : [])),
    ...tables.flatMap(({ zero }) => (zero ? [zero] : [])),
  ];
}

describe('planSet', () => {
  it('places every byte once, aligned, inside the file', () => {
    fc.assert(
      fc.property(arbitrarySet, (layout) => {
        const ranges = allRanges(layout).toSorted((a, b) => a.offset - b.offset || a.length - b.length);
        let end = 0;
        for (const { offset, length } of ranges) {
          expect(offset).toBeGreaterThanOrEqual(end);
          expect(offset % (length >= 65536 ? 4096 : 64)).toBe(0);
          end = offset + length;
        }
        expect(layout.byteLength).toBeGreaterThanOrEqual(end);
      }),
    );
  });

  it('lets each precision read nothing behind its own section', () => {
    fc.assert(
      fc.property(arbitrarySet, (layout) => {
        for (const bits of layout.bits) {
          const end = bytesNeeded(layout, bits);
          expect(prefixRead(layout, () => bits)).toBeLessThanOrEqual(end);
          for (const place of layout.projections) {
            const own = effectiveBits(place, bits);
            const { planes } = rangesRead(layout, place, bits);
            const width = place.planes.slice(0, planes.length).reduce((sum, plane) => sum + plane.width, 0);
            expect(width).toBe(own);
          }
        }
        expect(bytesNeeded(layout, layout.bits.at(-1) as Precision)).toBe(layout.byteLength);
      }),
    );
  });

  it.each([
    ['fp16', 2 * 9],
    ['c8', 16 + 2],
  ] as const)('counts the padding of ragged blocks and of %s columns', (tables, column) => {
    const layout = planSet([gate('layers.0.gate', 40, 3)], [], { ...options, block: 16, bits: [2, 3, 8], tables });
    const place = layout.projections[0] as ProjectionPlace;
    const padded = 3 * 48;
    expect(storedBytes(layout, place, 3, false)).toBe((3 * padded) / 8 + 2 * column);
    expect(storedBytes(layout, place, 3, true)).toBe((4 * padded) / 8 + 2 * column);
    expect(bitsPerWeight({ ...layout, projections: [] }, () => 3, false)).toEqual({ average: 0, stored: 0 });
  });

  it('takes the bits per weight that the formula says', () => {
    const layout = planSet([gate('layers.0.gate', 2048, 512)], [], options);
    for (const bits of layout.bits) {
      expect(bitsPerWeight(layout, () => bits, false).stored).toBeCloseTo(bits + 18 / 128, 9);
    }
    expect(bitsPerWeight(layout, () => 3, true)).toEqual({ average: 3, stored: 4 + 18 / 128 });
    expect(bitsPerWeight(layout, () => 6, true).stored).toBeCloseTo(8 + 18 / 128, 9);
  });

  it('orders the file: rest, then per precision the planes of all projections, then their tables', () => {
    const layout = planSet([gate('a', 256, 64), gate('b', 256, 64)], [5000], options);
    const [a, b] = layout.projections;
    expect(layout.rest).toEqual([{ offset: 0, length: 5000 }]);
    expect(layout.sections[0]).toMatchObject({ bits: 2, start: 8192 });
    const starts = [a?.planes[0], b?.planes[0], a?.tables[0]?.scale, b?.tables[0]?.scale, a?.planes[1]].map(
      (each) => each?.offset,
    );
    expect(starts).toEqual(starts.toSorted((x, y) => (x as number) - (y as number)));
  });

  it('stores what a projection never goes below in the first section', () => {
    const layout = planSet([gate('a', 64, 16, 4)], [], options);
    const [place] = layout.projections;
    expect(place?.chain).toEqual([4, 6, 8]);
    expect(place?.planes.map(({ width }) => width)).toEqual([4, 2, 2]);
    expect(layout.sections.slice(0, 3).map(({ start, end }) => end > start)).toEqual([true, false, false]);
  });

  it('keeps the container block within what the kernels know', () => {
    expect([1, 16, 17, 100, 1000].map((k) => containerBlock(k, 'channel'))).toEqual([16, 16, 32, 128, 128]);
    expect([8, 100, 300].map((k) => containerBlock(k, 256))).toEqual([16, 128, 256]);
  });
});
