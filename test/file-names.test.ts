import { describe, expect, it } from '@jest/globals';
import { requireFileName, requireName } from '../src/files/file-names.js';

const refused = expect.objectContaining({ code: 'bad-usage' });

describe('a name', () => {
  it.each(['model', 'gemma-3.270m', '.hidden', 'модель', 'con2', 'a'.repeat(150)])('may be %s', (name) => {
    expect(requireName(name, 'test')).toBe(name);
  });

  it.each([
    ...['', '.', '..', '../x', 'a/b', 'a\\b', '/x', 'C:x', 'a\0b', 'a\nb', 'what?', 'a*', 'x.', 'x '],
    ...['CON', 'con', 'nul.onnx', 'Aux', 'COM1', 'lpt9.x', 'a'.repeat(151), 'é'.repeat(100)],
  ])('may not be %j', (name) => {
    expect(() => requireName(name, 'test')).toThrow(refused);
  });

  it('is cut in the message when it is long', () => {
    expect(() => requireName('a'.repeat(10_000), 'test')).toThrow(/^"a{78}…" cannot be the name of a file/);
  });
});

it.each(['x'.repeat(201), `a/${'x'.repeat(5000)}`, 'a\0b', ''])('a path of %# cannot be written', (path) => {
  expect(() => requireFileName(path)).toThrow(refused);
});
