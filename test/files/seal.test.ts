import { createHash } from 'node:crypto';
import { describe, expect, it } from '@jest/globals';
import { isDamaged, isSealed, sealedJson } from '../../src/files/seal.js';

const value = { name: 'Überschrift', list: [{ sha256: 'f'.repeat(64) }], empty: {} };

describe('a JSON file with its digest', () => {
  it.each([undefined, 1])(
    'reads back, and the digest is that of the text with zeros in its place (indent %s)',
    (indent) => {
      const text = sealedJson(value, indent);
      const { sha256, ...rest } = JSON.parse(text) as { sha256: string };
      expect(rest).toEqual(value);
      expect(
        createHash('sha256')
          .update(text.replace(sha256, '0'.repeat(64)))
          .digest('hex'),
      ).toBe(sha256);
      expect(isSealed(text)).toBe(true);
      expect(isDamaged(text)).toBe(false);
    },
  );

  it.each([undefined, 1])('shows every changed bit (indent %s)', (indent) => {
    const bytes = Buffer.from(sealedJson(value, indent));
    for (let bit = 0; bit < 8 * bytes.length; bit += 3) {
      const changed = Buffer.from(bytes);
      changed[bit >> 3] = (changed[bit >> 3] as number) ^ (1 << (bit & 7));
      expect(isSealed(changed.toString('utf8'))).toBe(false);
    }
  });

  it('is not damaged when it has none', () => {
    expect(isSealed('{"a":1}\n')).toBe(false);
    expect(isDamaged('{"a":1}\n')).toBe(false);
  });
});
