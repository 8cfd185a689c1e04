import { describe, expect, it } from '@jest/globals';
import { byteSize, duration, paragraphs, right, significant, table } from '../../src/cli/render.js';

describe('render', () => {
  it.each([
    [0, '0 B'],
    [999, '999 B'],
    [1000, '1.0 KB'],
    [999_960, '1.0 MB'],
    [871_200_000, '871.2 MB'],
    [1.74e9, '1.7 GB'],
  ])('shows %d bytes', (bytes, text) => {
    expect(byteSize(bytes)).toBe(text);
  });

  it.each([
    [7.6, '8 s'],
    [200, '3 min 20 s'],
    [7500, '2 h 5 min'],
  ])('shows %d seconds', (seconds, text) => {
    expect(duration(seconds)).toBe(text);
  });

  it.each([
    [0.00761, '0.00761'],
    [1.4284, '1.43'],
    [0, '0.00'],
    [4e-9, '4e-9'],
    [123456, '123000'],
    [Number.NaN, 'NaN'],
  ])('shows the number %d', (value, text) => {
    expect(significant(value)).toBe(text);
  });

  it('aligns columns and leaves no trailing blanks', () => {
    const rows = [
      ['int8', '12'],
      ['int10', '7'],
    ];
    expect(table([{ title: 'model' }, right('size')], rows)).toBe('model  size\nint8     12\nint10     7');
    expect(table([{ title: 'a' }, { title: 'b' }], [['x', '']])).toBe('a  b\nx');
  });

  it('drops empty paragraphs', () => {
    expect(paragraphs('a', '', 'b')).toBe('a\n\nb');
  });
});
