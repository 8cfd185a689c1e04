import { linkSync, mkdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import {
  externalEntries,
  externalRange,
  refuseOverlaps,
  resolveLocation,
} from '../../../src/onnx/proto/external-data.js';
import type { TensorProto } from '../../../src/onnx/proto/messages.js';
import { temporaryFolder } from '../../support/paths.js';
import { codeOf } from './support.js';

const withEntries = (entries: Readonly<Record<string, string>>): TensorProto => ({
  externalData: Object.entries(entries).map(([key, value]) => ({ key, value })),
});
const rangeCode = (entries: Readonly<Record<string, string>>): string | undefined =>
  codeOf(() => externalRange(withEntries({ location: 'f', ...entries }), 't'));

describe('externalRange', () => {
  it('reads offsets beyond 2^32 exactly, in any order of keys, and passes over keys it does not know', () => {
    const entries = { length: '8', future: 'x', offset: '9007199254740001', checksum: 'ab', location: 'f' };
    const range = { location: 'f', offset: 9007199254740001, length: 8, checksum: 'ab' };
    expect(externalRange(withEntries(entries), 't')).toEqual(range);
  });

  it('lets offset and length be absent', () => {
    const range = externalRange(withEntries({ location: 'f' }), 't');
    expect(range).toEqual({ location: 'f', offset: 0, length: undefined, checksum: undefined });
  });

  it('refuses whatever is not a decimal number that a file can have', () => {
    for (const text of [
      '-1',
      '+1',
      '1.5',
      '1e3',
      '0x10',
      '',
      ' 1',
      '1 ',
      'NaN',
      '٣',
      '9007199254740992',
      '9'.repeat(30),
      '1'.repeat(1000),
    ]) {
      expect([text, rangeCode({ offset: text })]).toEqual([text, 'external-range']);
      expect([text, rangeCode({ length: text })]).toEqual([text, 'external-range']);
    }
    expect(rangeCode({ offset: '9007199254740991', length: '1' })).toBe('external-range');
  });

  it('refuses a tensor without a location', () => {
    expect(codeOf(() => externalRange(withEntries({ offset: '0' }), 't'))).toBe('external-path');
    expect(codeOf(() => externalRange({}, 't'))).toBe('external-path');
  });

  it('reads what externalEntries writes', () => {
    const whole = fc.integer({ min: 0, max: 2 ** 52 });
    fc.assert(
      fc.property(whole, whole, (offset, length) => {
        const range = externalRange({ externalData: externalEntries('data', offset, length) }, 't');
        expect(range).toEqual({ location: 'data', offset, length, checksum: undefined });
      }),
    );
  });
});

describe('resolveLocation', () => {
  const folder = temporaryFolder();
  const outside = temporaryFolder();
  const modelPath = join(folder, 'model.onnx');
  mkdirSync(join(folder, 'sub'));
  for (const path of [join(folder, 'data'), join(folder, 'sub/data'), join(outside, 'secret')])
    writeFileSync(path, 'x');
  symlinkSync(join(outside, 'secret'), join(folder, 'leak'));
  symlinkSync(outside, join(folder, 'away'));
  symlinkSync('sub/data', join(folder, 'inside'));
  linkSync(join(outside, 'secret'), join(folder, 'hard'));
  const code = (location: string): string | undefined => codeOf(() => resolveLocation(modelPath, location, 't'));

  it('finds files in the folder of the model and below it', () => {
    expect(resolveLocation(modelPath, 'data', 't')).toMatch(/data$/);
    expect(resolveLocation(modelPath, './sub/data', 't')).toMatch(/sub.data$/);
    expect(resolveLocation(modelPath, 'inside', 't')).toMatch(/sub.data$/);
    expect(resolveLocation(modelPath, 'hard', 't')).toMatch(/hard$/);
  });

  it('refuses to leave the folder', () => {
    const escapes = [
      '../data',
      'sub/../../data',
      'sub/../data',
      '..',
      '..\\data',
      join(folder, 'data'),
      '/etc/passwd',
      '\\\\host\\x',
      'C:\\x',
      'C:x',
    ];
    for (const location of escapes) expect([location, code(location)]).toEqual([location, 'external-path']);
    expect(code('data\0')).toBe('external-path');
    expect(code('leak')).toBe('external-path');
    expect(code('away/secret')).toBe('external-path');
    expect(code('.')).toBe('external-path');
  });

  it('is not fooled by a neighbour whose name begins like the folder', () => {
    const neighbour = `${folder}-2`;
    mkdirSync(neighbour);
    writeFileSync(join(neighbour, 'data'), 'x');
    symlinkSync(join(neighbour, 'data'), join(folder, 'next-door'));
    expect(code('next-door')).toBe('external-path');
  });

  it('follows links of a hub cache: model and data are both links into one folder', () => {
    const cache = temporaryFolder();
    const [blobs, snapshot] = [join(cache, 'blobs'), join(cache, 'snapshots/0123/onnx')];
    mkdirSync(join(blobs, 'deeper'), { recursive: true });
    mkdirSync(snapshot, { recursive: true });
    for (const name of ['blobs/a', 'blobs/deeper/b', 'secret']) writeFileSync(join(cache, name), name);
    const link = (name: string, to: string): void => symlinkSync(join('../../..', to), join(snapshot, name));
    link('model.onnx', 'blobs/a');
    link('model.onnx_data', 'blobs/deeper/b');
    link('elsewhere', 'secret');
    writeFileSync(join(snapshot, 'plain.onnx'), 'x');
    const found = (model: string, location: string): string | undefined =>
      codeOf(() => resolveLocation(join(snapshot, model), location, 't'));
    expect(resolveLocation(join(snapshot, 'model.onnx'), 'model.onnx_data', 't')).toMatch(/blobs.deeper.b$/);
    expect(found('model.onnx', 'elsewhere')).toBe('external-path');
    expect(found('model.onnx', '../../../blobs/a')).toBe('external-path');
    expect(found('model.onnx', join(blobs, 'a'))).toBe('external-path');
    // The same link is refused where the model is a file of its own.
    expect(found('plain.onnx', 'model.onnx_data')).toBe('external-path');
  });

  it('says what is missing', () => {
    expect(code('none')).toBe('external-missing');
    expect(code('data/below')).toBe('external-missing');
  });
});

describe('refuseOverlaps', () => {
  const range = (at: string, offset: number, length: number, path = 'f') => ({ at, path, offset, length });
  const code = (...ranges: ReturnType<typeof range>[]): string | undefined => codeOf(() => refuseOverlaps(ranges));

  it('allows neighbours, equal ranges, empty ranges and other files', () => {
    expect(
      code(range('a', 0, 4), range('b', 4, 4), range('c', 4, 4), range('d', 2, 0), range('e', 2, 4, 'g')),
    ).toBeUndefined();
  });

  it('refuses ranges that share a part, also behind equal ones and inside larger ones', () => {
    expect(code(range('a', 0, 4), range('b', 3, 4))).toBe('external-overlap');
    expect(code(range('a', 0, 4), range('b', 0, 4), range('c', 3, 1))).toBe('external-overlap');
    expect(code(range('a', 0, 100), range('b', 10, 2), range('c', 50, 2))).toBe('external-overlap');
    expect(code(range('a', 0, 4), range('b', 0, 2))).toBe('external-overlap');
  });

  it('agrees with comparing all pairs', () => {
    const one = fc.tuple(fc.nat(12), fc.nat(4)).map(([offset, length]) => range('r', offset, length));
    fc.assert(
      fc.property(fc.array(one, { maxLength: 6 }), (ranges) => {
        const clash = ranges.some((a) =>
          ranges.some((b) => {
            const same = a.offset === b.offset && a.length === b.length;
            return !same && Math.max(a.offset, b.offset) < Math.min(a.offset + a.length, b.offset + b.length);
          }),
        );
        expect(code(...ranges)).toBe(clash ? 'external-overlap' : undefined);
      }),
    );
  });
});
