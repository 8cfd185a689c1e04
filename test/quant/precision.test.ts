import { describe, expect, it } from '@jest/globals';
import { containerBits, isPrecision, PRECISIONS } from '../../src/quant/precision.js';

describe('precision', () => {
  it('puts every precision in the narrowest container with a kernel', () => {
    expect(PRECISIONS.map(containerBits)).toEqual([2, 4, 4, 8, 8, 8, 8]);
  });

  it('knows a precision when it sees one', () => {
    expect([1, 2, 4.5, 8, 9, '4'].map(isPrecision)).toEqual([false, true, false, true, false, false]);
  });
});
