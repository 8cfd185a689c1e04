import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { describe, expect, it } from '@jest/globals';
import { readDocuments, readIds, requireIdsBelow } from '../../src/text/dataset.js';
import { fixture, temporaryFolder } from '../support/paths.js';
import { stories } from '../support/stories.js';

const fileWith = (name: string, content: string | Uint8Array): string => {
  const path = join(temporaryFolder(), name);
  writeFileSync(path, content);
  return path;
};

describe('readDocuments', () => {
  it('takes a text file for one document, line ends kept', () => {
    expect(readDocuments(fileWith('a.txt', ' one\r\n\r\ntwo\n'))).toEqual([' one\r\n\r\ntwo\n']);
  });

  it('splits at a separator, trims and drops short parts', () => {
    const path = fileWith('a.txt', 'alpha\n--\n b \n--\n\n--\n𝄞𝄞');
    expect(readDocuments(path, { separator: /\n--\n/ })).toEqual(['alpha', 'b', '𝄞𝄞']);
    expect(readDocuments(path, { separator: /\n--\n/, minCharacters: 2 })).toEqual(['alpha', '𝄞𝄞']);
    expect(readDocuments(path, { separator: /\n--\n/, minCharacters: 3 })).toEqual(['alpha']);
    expect(stories()).toHaveLength(120);
  });

  it('reads a field of JSON lines, compressed or not', () => {
    const lines = '{"text":"a","body":"x"}\n\n{"text":"b","body":"y"}\n';
    expect(readDocuments(fileWith('a.jsonl', lines))).toEqual(['a', 'b']);
    expect(readDocuments(fileWith('a.jsonl.gz', gzipSync(lines)), { field: 'body' })).toEqual(['x', 'y']);
    expect(readDocuments(fixture('text/c4-excerpt.jsonl'))).toHaveLength(60);
  });

  it('names the line that is wrong', () => {
    const path = fileWith('a.jsonl', '{"text":"a"}\n\n{"words":"b"}\n');
    expect(() => readDocuments(path)).toThrow(expect.objectContaining({ code: 'bad-usage', at: `${path}:3` }));
    const broken = fileWith('b.jsonl', 'text\n');
    expect(() => readDocuments(broken)).toThrow(expect.objectContaining({ code: 'bad-usage', at: `${broken}:1` }));
  });

  it('refuses empty, missing and damaged files', () => {
    expect(() => readDocuments(fileWith('a.txt', ' \n\n'))).toThrow(expect.objectContaining({ code: 'empty-text' }));
    expect(() => readDocuments('/nowhere/a.txt')).toThrow(expect.objectContaining({ code: 'file-missing' }));
    const cut = gzipSync('a long enough text').subarray(0, 12);
    expect(() => readDocuments(fileWith('a.txt.gz', cut))).toThrow(expect.objectContaining({ code: 'truncated' }));
  });
});

describe('readIds', () => {
  it('reads one window per line', () => {
    expect(readIds(fileWith('ids', '[2, 5, 7]\n\n[2,6]\n'))).toEqual([Int32Array.of(2, 5, 7), Int32Array.of(2, 6)]);
  });

  const wrong: readonly (readonly [string, string])[] = [
    ['a negative id', '[1,-2]'],
    ['an id that is not whole', '[1,2.5]'],
    ['an id that is not a number', '[1,"2"]'],
    ['an id beyond the vocabulary', '[1,100]'],
    ['an id beyond 31 bits', '[1,4294967296]'],
    ['one id', '[1]'],
    ['an object', '{"ids":[1,2]}'],
    ['text', 'one two'],
  ];
  it.each(wrong)('refuses %s', (_, line) => {
    const path = fileWith('ids', `[1,2]\n${line}\n`);
    expect(() => readIds(path, 100)).toThrow(expect.objectContaining({ code: 'bad-ids', at: `${path}:2` }));
  });

  it('refuses an empty file', () => {
    expect(() => readIds(fileWith('ids', '\n'))).toThrow(expect.objectContaining({ code: 'empty-text' }));
  });
});

describe('requireIdsBelow', () => {
  it('names the window', () => {
    expect(() =>
      requireIdsBelow(
        [
          [1, 2],
          [3, 9],
        ],
        9,
        'model',
      ),
    ).toThrow('Window 2 has the id 9');
    expect(() => requireIdsBelow([[1, 8]], 9, 'model')).not.toThrow();
  });
});
