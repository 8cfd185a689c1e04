import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { SHAPES, shapeBits, shapeMix } from '../../../src/mix/search/shapes.js';
import type { Precision } from '../../../src/quant/precision.js';

const at = (layers: number, budget: number) => ({
  layers,
  budget,
  bits: [2, 3, 4, 6, 8] as readonly Precision[],
  cost: (_: number, bits: Precision) => bits,
});

describe('named shapes', () => {
  it('are those of the paper', () => {
    expect(shapeMix('pyramid', at(6, 28))).toEqual([2, 4, 8, 8, 4, 2]);
    expect(shapeMix('reverse', at(6, 28))).toEqual([8, 4, 2, 2, 4, 8]);
    expect(shapeMix('increasing', at(6, 28))).toEqual([2, 2, 4, 4, 8, 8]);
    expect(shapeMix('decreasing', at(6, 28))).toEqual([8, 8, 4, 4, 2, 2]);
  });

  it('fill 18 layers of 3 bits as the prototype of the laboratory does', () => {
    const pyramid = shapeMix('pyramid', at(18, 54)) as readonly number[];
    expect(pyramid.reduce((sum, bits) => sum + bits, 0)).toBe(54);
    expect([2, 4, 8].map((bits) => pyramid.filter((each) => each === bits).length)).toEqual([11, 6, 1]);
  });

  it('keep every budget and spend it as far as steps of two bits can', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 20 }), fc.double({ min: 1.5, max: 8, noNaN: true }), (layers, average) => {
        for (const shape of SHAPES) {
          const mix = shapeMix(shape, at(layers, average * layers));
          if (average < 2) expect(mix).toBeUndefined();
          else {
            const spent = mix?.reduce<number>((sum, bits) => sum + bits, 0) ?? 0;
            expect(spent).toBeLessThanOrEqual(average * layers);
            expect(spent).toBeGreaterThan(0.99 * (average * layers) - 4);
          }
        }
      }),
    );
  });

  it('take what a set has', () => {
    expect(shapeBits([3, 5, 7])).toEqual([3, 5, 7]);
    expect(shapeBits([8, 2, 3, 4, 6])).toEqual([2, 4, 8]);
    expect(shapeBits([4])).toEqual([4, 4, 4]);
  });
});
