import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from '@jest/globals';
import { CompilerError } from '../../src/diagnostics.js';
import { checkRecord, findRecord, RecordWriter, readRecord } from '../../src/files/record.js';
import { sealedJson } from '../../src/files/seal.js';
import { readSealed } from '../../src/files/sealed-json.js';
import { saveRecord } from '../../src/files/staged-record.js';
import { temporaryFolder } from '../support/paths.js';

const NAME = { kind: 'test', key: 'k1' };

const codeOf = (action: () => unknown): string => {
  try {
    action();
    return 'none';
  } catch (error) {
    return error instanceof CompilerError ? error.code : String(error);
  }
};

const written = (): string => {
  const path = join(temporaryFolder(), 'deep', 'a.record');
  saveRecord(path, NAME, { note: 'ü', list: [1, 2] }, [
    { name: 'gram', data: Float64Array.of(1, 0.1, 3), as: 'F32' },
    { name: 'sum', data: Float64Array.of(0.1) },
    { name: 'codes', data: Uint8Array.of(1, 2, 3) },
    { name: 'none', data: new Float32Array(0) },
  ]);
  return path;
};

describe('a record', () => {
  it('comes back as it was written', () => {
    const { facts, arrays } = readRecord(written(), NAME, ['gram']);
    expect(facts).toEqual({ note: 'ü', list: [1, 2] });
    expect([...arrays]).toEqual([
      ['gram', Float64Array.of(1, Math.fround(0.1), 3)],
      ['sum', Float64Array.of(0.1)],
      ['codes', Uint8Array.of(1, 2, 3)],
      ['none', new Float32Array(0)],
    ]);
  });

  it('is a safetensors file', () => {
    const bytes = readFileSync(written());
    const length = Number(bytes.readBigUInt64LE());
    const { __metadata__: metadata, ...tensors } = JSON.parse(bytes.subarray(8, 8 + length).toString());
    expect(Object.values(metadata).every((value) => typeof value === 'string')).toBe(true);
    expect(tensors.sum).toEqual({ dtype: 'F64', shape: [1], data_offsets: [12, 20] });
    expect(bytes.length).toBe(8 + length + 23);
    expect(length % 8).toBe(0);
  });

  it('is refused after a change of any bit, a cut or an addition', () => {
    const path = written();
    const whole = readFileSync(path);
    const accepted: number[] = [];
    for (let bit = 0; bit < 8 * whole.length; bit++) {
      const bytes = Buffer.from(whole);
      bytes[bit >> 3] = (bytes[bit >> 3] as number) ^ (1 << (bit & 7));
      writeFileSync(path, bytes);
      if (codeOf(() => readRecord(path, NAME)) !== 'damaged-file') accepted.push(bit);
    }
    expect(accepted).toEqual([]);
    for (const bytes of [whole.subarray(0, -1), Buffer.concat([whole, Buffer.alloc(1)]), Buffer.alloc(0)]) {
      writeFileSync(path, bytes);
      expect(codeOf(() => readRecord(path, NAME))).toBe('damaged-file');
      expect(codeOf(() => checkRecord(path, NAME))).toBe('damaged-file');
    }
  });

  it('is refused under the name of another', () => {
    const path = written();
    expect(codeOf(() => readRecord(path, { ...NAME, key: 'k2' }))).toBe('damaged-file');
    expect(codeOf(() => readRecord(path, { ...NAME, kind: 'other' }))).toBe('damaged-file');
  });

  it('is made again when it is damaged, and that is said; a missing one is not', () => {
    const said: string[] = [];
    const log = { info: () => undefined, warn: (text: string) => said.push(text) };
    const path = written();
    expect(findRecord(path, NAME, log, ({ facts }) => facts)).toBeDefined();
    expect(findRecord(`${path}.none`, NAME, log, () => 1)).toBeUndefined();
    expect(said).toEqual([]);
    writeFileSync(path, 'something');
    expect(findRecord(path, NAME, log, () => 1)).toBeUndefined();
    expect(said).toEqual([expect.stringContaining('[damaged-file]')]);
    const folder = join(temporaryFolder(), 'folder');
    mkdirSync(folder);
    expect(findRecord(folder, NAME, log, () => 1)).toBeUndefined();
  });

  it('can be written in pieces larger and smaller than its arrays, and must be complete', () => {
    const path = join(temporaryFolder(), 'a.record');
    const writer = new RecordWriter(path, NAME, {}, [{ name: 'x', dtype: 'F32', shape: [2, 3] }]);
    writer.append(Float32Array.of(1, 2, 3, 4));
    expect(() => writer.finish()).toThrow('lacks 8 bytes');
    writer.append(Float32Array.of(5, 6));
    writer.finish();
    const start = checkRecord(path, NAME);
    expect(readFileSync(path).readFloatLE(start + 20)).toBe(6);
  });
});

describe('sealed JSON', () => {
  it('comes back, and is refused after a change', () => {
    const path = join(temporaryFolder(), 'a.json');
    const text = sealedJson({ b: [0.1, 'x'], a: null }, 1);
    writeFileSync(path, text);
    expect(readSealed(path)).toEqual({ b: [0.1, 'x'], a: null });
    for (const changed of [
      text.replace('0.1', '0.2'),
      text.replace('"x"', '"y"'),
      '{"b":[0.1,"x"],"a":null}',
      '1',
      'x',
    ]) {
      writeFileSync(path, changed);
      expect(codeOf(() => readSealed(path))).toBe('damaged-file');
    }
    expect(codeOf(() => readSealed(`${path}.none`))).toBe('file-missing');
  });
});
