import { copyFileSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { bosOf, loadTokenizer, type TextTokenizer } from '../../src/text/tokenizer.js';
import { windowsOf } from '../../src/text/tokens.js';
import { fixture, temporaryFolder } from '../support/paths.js';
import { heldWindows, stories, storyTokenizer } from '../support/stories.js';

/** One id per character: its code. */
const letters: TextTokenizer = {
  path: 'letters',
  encode: (text) => [...text].map((letter) => letter.charCodeAt(0)),
  decode: (ids) => String.fromCharCode(...ids),
  bos: undefined,
};
const shown = (windows: readonly Int32Array[]) => windows.map((window) => letters.decode([...window]));

describe('windowsOf, joined', () => {
  it('cuts BOS and pieces across documents and drops the partial last', () => {
    const result = windowsOf(['abc', 'defg', 'h'], letters, { length: 4, bos: 95 });
    expect(shown(result.windows)).toEqual(['_abc', '_def']);
    expect(result).toMatchObject({ documents: 3, tokens: 6, dropped: 2 });
  });

  it('fills whole windows without BOS', () => {
    expect(shown(windowsOf(['abcdefgh'], letters, { length: 4, bos: undefined }).windows)).toEqual(['abcd', 'efgh']);
  });

  it('keeps a partial window when it is the only one', () => {
    expect(shown(windowsOf(['ab'], letters, { length: 512, bos: 95 }).windows)).toEqual(['_ab']);
  });

  it('stops at the limit and tokenizes no further documents', () => {
    const result = windowsOf(['abcdefg', 'never'], letters, { length: 3, bos: 95, limit: 2 });
    expect(shown(result.windows)).toEqual(['_ab', '_cd']);
    expect(result).toMatchObject({ documents: 1, tokens: 4, dropped: 3 });
  });

  it('loses no token but the dropped ones', () => {
    const arbitrary = fc.array(fc.string({ unit: 'grapheme-ascii', maxLength: 20 }), { minLength: 1, maxLength: 8 });
    fc.assert(
      fc.property(arbitrary, fc.integer({ min: 2, max: 9 }), (documents, length) => {
        const all = documents.join('');
        fc.pre(all.length >= length);
        const { windows, tokens, dropped } = windowsOf(documents, letters, { length, bos: 7 });
        const kept = windows.map((window) => letters.decode([...window.subarray(1)])).join('');
        expect(kept).toBe(all.slice(0, tokens));
        expect(tokens + dropped).toBe(all.length);
        expect(dropped).toBeLessThan(length - 1);
      }),
    );
  });
});

describe('windowsOf, per document', () => {
  it('makes one window of each document', () => {
    const result = windowsOf(['abcdef', 'gh', ''], letters, { length: 4, bos: 95, perDocument: true });
    expect(shown(result.windows)).toEqual(['_abc', '_gh']);
    expect(result).toMatchObject({ documents: 3, tokens: 5, dropped: 3 });
  });

  it('gives the held-out stories their 18,104 predicted tokens', () => {
    const windows = heldWindows();
    expect(windows).toHaveLength(84);
    expect(windows.reduce((sum, window) => sum + window.length - 1, 0)).toBe(18_104);
    expect(windows.every((window) => window[0] === 1 && window.length <= 256)).toBe(true);
  });
});

describe('windowsOf, refusals', () => {
  const refused: readonly (readonly [string, string, () => unknown])[] = [
    ['a window of one id', 'bad-usage', () => windowsOf(['abc'], letters, { length: 1, bos: undefined })],
    ['a single token without BOS', 'empty-text', () => windowsOf(['a'], letters, { length: 8, bos: undefined })],
    ['no tokens', 'empty-text', () => windowsOf([''], letters, { length: 8, bos: 1 })],
    ['ids beyond the vocabulary', 'bad-ids', () => windowsOf(['az'], letters, { length: 3, bos: 1, vocabulary: 122 })],
    ['a BOS beyond it', 'bad-ids', () => windowsOf(['ab'], letters, { length: 3, bos: 200, vocabulary: 122 })],
  ];
  it.each(refused)('%s', (_, code, act) => {
    expect(act).toThrow(expect.objectContaining({ code }));
  });
});

describe('loadTokenizer', () => {
  const original = fixture('models/mistral-656k/tokenizer.json');

  it('encodes without and knows BOS from the template', () => {
    const tokenizer = storyTokenizer();
    expect(tokenizer.bos).toBe(1);
    const story = stories()[0] as string;
    const ids = tokenizer.encode(story);
    expect(ids[0]).not.toBe(1);
    expect(tokenizer.decode(ids)).toBe(story);
    // As Python's tokenizers 0.22.2 gives them.
    expect(tokenizer.encode('Once upon a time, 7 dragons\nsaid "hello".')).toEqual(EXPECTED_IDS);
  });

  it('reads a compressed file', () => {
    const path = join(temporaryFolder(), 'tokenizer.json.gz');
    writeFileSync(path, gzipSync(readFileSync(original)));
    expect(loadTokenizer(path).encode('a dragon')).toEqual(storyTokenizer().encode('a dragon'));
  });

  it('finds BOS in the configuration beside it, or in a usual name, when there is no template', () => {
    const json = JSON.parse(readFileSync(original, 'utf8')) as { post_processor: unknown };
    const path = join(temporaryFolder(), 'tokenizer.json');
    writeFileSync(path, JSON.stringify({ ...json, post_processor: null }));
    expect(loadTokenizer(path).bos).toBeUndefined();
    const config = join(path, '..', 'tokenizer_config.json');
    copyFileSync(fixture('models/mistral-656k/tokenizer_config.json'), config);
    expect(loadTokenizer(path).bos).toBe(1);
    writeFileSync(config, JSON.stringify({ add_bos_token: false, bos_token: '<|start_story|>' }));
    expect(loadTokenizer(path).bos).toBeUndefined();
  });

  it('refuses what is not a tokenizer', () => {
    const path = join(temporaryFolder(), 'tokenizer.json');
    const refusal = expect.objectContaining({ code: 'bad-tokenizer', at: path });
    writeFileSync(path, '{"version":"1.0"}');
    expect(() => loadTokenizer(path)).toThrow(refusal);
    writeFileSync(path, 'sentencepiece');
    expect(() => loadTokenizer(path)).toThrow(refusal);
    expect(() => loadTokenizer('/nowhere/tokenizer.json')).toThrow(expect.objectContaining({ code: 'file-missing' }));
    expect(() => loadTokenizer('/nowhere/tokenizer.model')).toThrow(expect.objectContaining({ code: 'bad-tokenizer' }));
  });
});

describe('bosOf', () => {
  it('prefers what is asked for, then the tokenizer, then the model', () => {
    expect(bosOf('auto', { ...letters, bos: 3 }, 4)).toBe(3);
    expect(bosOf('auto', letters, 4)).toBe(4);
    expect(bosOf('none', { ...letters, bos: 3 }, 4)).toBeUndefined();
    expect(bosOf(9, { ...letters, bos: 3 }, 4)).toBe(9);
  });
});

const EXPECTED_IDS: readonly number[] = [80, 147, 201, 282, 215, 18, 80, 1001, 1921, 71, 3, 2031, 109, 113, 67, 5, 10];
