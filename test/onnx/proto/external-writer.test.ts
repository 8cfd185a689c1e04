import { readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from '@jest/globals';
import { bytesPayload, CHUNK, type Payload } from '../../../src/files/payload.js';
import { ExternalWriter, sha1Of, writePieces } from '../../../src/onnx/proto/external-writer.js';
import { temporaryFolder } from '../../support/paths.js';

const filled = (length: number, value: number): Payload => bytesPayload(new Uint8Array(length).fill(value));

describe('ExternalWriter', () => {
  it('starts large tensors at pages, packs small ones and fills the gaps with zeros', () => {
    const path = join(temporaryFolder(), 'data');
    const writer = new ExternalWriter(path);
    const placed = [10, 10, 65536, 65535, 65537].map((length, index) => writer.add(filled(length, index + 1), {}));
    writer.close();
    expect(placed).toEqual([
      { offset: 0, length: 10 },
      { offset: 16, length: 10 },
      { offset: 4096, length: 65536 },
      { offset: 69632, length: 65535 },
      { offset: 135168, length: 65537 },
    ]);
    const bytes = readFileSync(path);
    expect(bytes.length).toBe(writer.length);
    expect([...bytes.subarray(8, 28)]).toEqual([1, 1, 0, 0, 0, 0, 0, 0, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 0, 0]);
    expect(bytes[135167]).toBe(0);
    expect(bytes[135168]).toBe(5);
  });

  it('writes bytes of one storage once', () => {
    const path = join(temporaryFolder(), 'data');
    const writer = new ExternalWriter(path);
    const storage = {};
    const first = writer.add(filled(100, 1), storage);
    expect(writer.add(filled(100, 1), storage)).toEqual(first);
    expect(writer.add(filled(50, 1), storage)).toEqual({ offset: 112, length: 50 });
    expect(writer.add(filled(100, 1), {})).toEqual({ offset: 176, length: 100 });
    writer.close();
    expect(statSync(path).size).toBe(276);
  });

  it('reads a chunk at a time', () => {
    const asked: number[] = [];
    const length = 2 * CHUNK + 5;
    const read = (start: number, end: number): Uint8Array => {
      asked.push(end - start);
      return new Uint8Array(end - start).fill(start === 0 ? 1 : 2);
    };
    const path = join(temporaryFolder(), 'data');
    const writer = new ExternalWriter(path);
    writer.add({ length, read }, {});
    writer.close();
    expect(asked).toEqual([CHUNK, CHUNK, 5]);
    const bytes = readFileSync(path);
    expect([bytes.length, bytes[CHUNK - 1], bytes[CHUNK]]).toEqual([length, 1, 2]);
  });

  it('will not write over a file', () => {
    const path = join(temporaryFolder(), 'data');
    new ExternalWriter(path).close();
    expect(() => new ExternalWriter(path)).toThrow(/EEXIST/);
  });
});

describe('writePieces and sha1Of', () => {
  it('writes many small and some large pieces in order', () => {
    const pieces = [filled(3, 1), filled(0, 0), filled(2 << 20, 2), ...Array.from({ length: 100 }, () => filled(7, 3))];
    const path = join(temporaryFolder(), 'file');
    writePieces(path, pieces);
    const expected = Buffer.concat(pieces.map((piece) => piece.read(0, piece.length)));
    expect(readFileSync(path).equals(expected)).toBe(true);
  });

  it('digests a file', () => {
    const path = join(temporaryFolder(), 'file');
    writePieces(path, [bytesPayload(Buffer.from('abc'))]);
    expect(sha1Of(path)).toBe('a9993e364706816aba3e25717850c26c9cd0d89d');
  });
});
