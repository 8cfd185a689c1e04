import { describe, expect, it } from '@jest/globals';
import { bitsOrPairs, byteCount, decimalNumber, numberList, wholeNumber } from '../../src/cli/values.js';

describe('values of flags', () => {
  it.each([
    ['4GiB', 4 * 2 ** 30],
    ['4G', 4 * 2 ** 30],
    ['1.5gb', 1.5e9],
    ['800 MB', 8e8],
    ['123456', 123456],
  ])('reads %s as bytes', (text, bytes) => {
    expect(byteCount('--memory', text)).toBe(bytes);
  });

  it.each(['', '-1', '0', 'lots', '4 GiBs', '1e9', '99999999999TB'])('refuses %j as bytes', (text) => {
    expect(() => byteCount('--memory', text)).toThrow(expect.objectContaining({ code: 'bad-usage', at: '--memory' }));
  });

  it('reads whole numbers and lists of them', () => {
    expect(wholeNumber('--threads', '8')).toBe(8);
    expect(numberList('--bits', '8, 4,2')).toEqual([8, 4, 2]);
    for (const text of ['0', '-1', '1.5', '', 'x', '0x10', '1e3']) {
      expect(() => wholeNumber('--threads', text)).toThrow(expect.objectContaining({ code: 'bad-usage' }));
    }
  });

  it('reads bits as one number, a word, or numbers by precision', () => {
    expect(bitsOrPairs('--embedding-bits', '4')).toBe(4);
    expect(bitsOrPairs('--embedding-bits', 'keep')).toBe('keep');
    expect(bitsOrPairs('--embedding-bits', '2:3, 8:7')).toEqual({ 2: 3, 8: 7 });
    for (const text of ['2:', ':3', '2:3,8', '2:3:4'])
      expect(() => bitsOrPairs('--embedding-bits', text)).toThrow(expect.objectContaining({ code: 'bad-usage' }));
  });

  it('reads decimal numbers', () => {
    expect(decimalNumber('--max-kl', '1e-3')).toBe(0.001);
    for (const text of ['', ' ', 'NaN', 'Infinity', '-0.1']) {
      expect(() => decimalNumber('--max-kl', text)).toThrow(expect.objectContaining({ code: 'bad-usage' }));
    }
  });
});
