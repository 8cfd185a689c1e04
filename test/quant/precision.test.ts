import { describe, expect, it } from '@jest/globals';
import { containerBits, isPrecision, PRECISIONS, parsePrecisions, toPrecision } from '../../src/quant/precision.js';

const badUsage = expect.objectContaining({ code: 'bad-usage' });

describe('precision', () => {
  it('puts every precision in the narrowest container with a kernel', () => {
    expect(PRECISIONS.map(containerBits)).toEqual([2, 4, 4, 8, 8, 8, 8]);
  });

  it.each([
    ['8,6,4,3,2', [8, 6, 4, 3, 2]],
    [' 2, 4 ,8', [8, 4, 2]],
    ['5', [5]],
  ])('reads %s, largest first', (text, expected) => {
    expect(parsePrecisions(text, '--bits')).toEqual(expected);
  });

  it('reads a list of numbers without changing it', () => {
    const given = Object.freeze([2, 8]);
    expect(parsePrecisions(given, 'bits')).toEqual([8, 2]);
  });

  it.each(['', '8,,4', '1', '9', '4.0', '4,4', '0x4', 'int4', '1e0', '-2'])('refuses %p', (text) => {
    expect(() => parsePrecisions(text, '--bits')).toThrow(badUsage);
  });

  it('refuses lists of other things', () => {
    expect(() => parsePrecisions([], 'bits')).toThrow(badUsage);
    expect(() => parsePrecisions(['4'], 'bits')).toThrow(badUsage);
    expect(() => toPrecision(4.5, 'bits')).toThrow(badUsage);
    expect(isPrecision(1)).toBe(false);
    expect(isPrecision(8)).toBe(true);
  });
});
