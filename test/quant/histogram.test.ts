import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { codeHistogram, entropyBits, meanLevel, sliceHistogram } from '../../src/quant/histogram.js';
import { PRECISIONS } from '../../src/quant/precision.js';
import { sliceCodes } from '../../src/quant/slice.js';
import { SLICE_KINDS } from '../support/fit-tables.js';

describe('histogram', () => {
  it('counts codes and adds to what was counted before', () => {
    const counts = codeHistogram(Uint8Array.of(7, 7, 255));
    expect([counts[7], counts[255], counts[0]]).toEqual([2, 1, 0]);
    expect(codeHistogram(Uint8Array.of(7), counts)[7]).toBe(3);
  });

  it('folds the parent into the histogram of the sliced codes', () => {
    fc.assert(
      fc.property(
        fc.uint8Array({ maxLength: 200 }),
        fc.constantFrom(...SLICE_KINDS),
        fc.constantFrom(...PRECISIONS),
        (codes, kind, bits) => {
          const folded = sliceHistogram(codeHistogram(codes), kind, bits);
          const direct = codeHistogram(sliceCodes(codes, kind, bits));
          expect([...folded]).toEqual([...direct.slice(0, folded.length)]);
          expect(folded.reduce((a, b) => a + b, 0)).toBe(codes.length);
        },
      ),
    );
  });

  it('shows a shift to the right', () => {
    expect(meanLevel(Float64Array.of(1, 1, 1, 1))).toBe(0.5);
    expect(meanLevel(Float64Array.of(0, 1, 1, 2))).toBe(0.75);
    expect(meanLevel(new Float64Array(4))).toBe(0);
  });

  it('measures entropy in bits', () => {
    expect(entropyBits(Float64Array.of(5, 5, 5, 5))).toBe(2);
    expect(entropyBits(Float64Array.of(3, 0, 0, 0))).toBe(0);
    expect(entropyBits(Float64Array.of(2, 1, 1, 0))).toBe(1.5);
  });
});
