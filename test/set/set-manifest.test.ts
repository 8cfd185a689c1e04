import { readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { sealedJson } from '../../src/files/seal.js';
import type { Precision } from '../../src/quant/precision.js';
import { partsOf } from '../../src/set/parts.js';
import { manifestText, openSet, parseManifest, type SetManifest } from '../../src/set/set-manifest.js';
import { SetWriter } from '../../src/set/set-writer.js';
import { product, randomParts, type SetOnDisk, writeSet, writeWholeSet } from '../support/nested.js';
import { temporaryFolder } from '../support/paths.js';

const options = { bits: [2, 4, 8] as readonly Precision[], block: 32, decode: 'ab', tables: 'c8' } as const;
let folder: string;
let set: SetOnDisk;
let manifest: SetManifest;
beforeAll(() => {
  folder = temporaryFolder();
  set = writeSet(folder, product({ k: 64, n: 16 }), options);
  manifest = openSet(writeWholeSet(folder, set)).manifest;
});
afterAll(() => rmSync(folder, { recursive: true }));

const changed = (change: (copy: { [key: string]: never }) => void): string => {
  const copy = JSON.parse(manifestText(manifest));
  change(copy);
  return resealed(copy);
};

/** A manifest with other contents and a digest that holds. */
function resealed({ sha256: _, ...rest }: { [key: string]: unknown }): string {
  return sealedJson(rest, 1);
}

describe('the manifest', () => {
  it('reads back what was written', () => {
    expect(parseManifest(manifestText(manifest), 'test')).toEqual(manifest);
    expect(manifest.layout).toEqual(set.written.layout);
  });

  it.each<[string, (copy: { [key: string]: never }) => void]>([
    ['a data file elsewhere', (copy) => Object.assign(copy, { data: '../model.data' })],
    ['an absolute data file', (copy) => Object.assign(copy, { data: '/etc/passwd' })],
    ['a name of 10,000 characters', (copy) => Object.assign(copy, { data: 'a'.repeat(10_000) })],
    ['a graph elsewhere', (copy) => Object.assign(copy['graphs']?.[0] ?? {}, { file: 'a/b.onnx' })],
    ['another version', (copy) => Object.assign(copy, { version: 1 })],
    ['another format', (copy) => Object.assign(copy, { format: 'other' })],
    [
      'a range outside the file',
      (copy) => Object.assign(copy['layout']?.['projections']?.[0]?.['planes']?.[0] ?? {}, { offset: 1e12 }),
    ],
    [
      'a plane of another size',
      (copy) => Object.assign(copy['layout']?.['projections']?.[0]?.['planes']?.[0] ?? {}, { length: 4 }),
    ],
    [
      'a column of another size',
      (copy) => Object.assign(copy['layout']?.['projections']?.[0]?.['tables']?.[0]?.['scale'] ?? {}, { length: 16 }),
    ],
    ['a negative offset', (copy) => Object.assign(copy['layout']?.['sections']?.[0] ?? {}, { start: -1 })],
    [
      'a width that no byte holds',
      (copy) => Object.assign(copy['layout']?.['projections']?.[0]?.['planes']?.[0] ?? {}, { width: 3 }),
    ],
  ])('is refused with %s', (_, change) => {
    expect(() => parseManifest(changed(change), 'test')).toThrow(expect.objectContaining({ code: 'not-a-set' }));
  });

  it.each(['', '{', '[]', '{"format":"matquant-set"}', 'onnx'])('refuses the text %j', (text) => {
    const path = join(folder, 'other.json');
    writeFileSync(path, text);
    expect(() => openSet(path)).toThrow(expect.objectContaining({ code: 'not-a-set' }));
  });

  it('says when the manifest or the data file is missing', () => {
    expect(() => openSet(join(folder, 'none.json'))).toThrow(expect.objectContaining({ code: 'file-missing' }));
    const path = join(folder, 'lonely.json');
    writeFileSync(
      path,
      changed((copy) => Object.assign(copy, { data: 'none.data' })),
    );
    expect(() => openSet(path)).toThrow(expect.objectContaining({ code: 'file-missing' }));
  });
});

describe('SetWriter', () => {
  it('writes the same bytes whatever the order of the parts', () => {
    const { layout } = set.plan;
    const path = join(folder, 'reversed.data');
    const writer = new SetWriter(path, layout);
    layout.projections.toReversed().forEach((place) => {
      const at = layout.projections.indexOf(place);
      writer.writeProjection(place.id, partsOf(place, randomParts(place, options, 10 * at + 5), layout));
    });
    set.plan.rest.toReversed().forEach((tensor) => writer.writeRest(set.plan.rest.indexOf(tensor), tensor));
    expect(writer.finish()).toEqual(set.written);
    expect(readFileSync(path).equals(readFileSync(set.dataPath))).toBe(true);
  });

  it('does not finish while something is missing', () => {
    const writer = new SetWriter(join(folder, 'short.data'), set.plan.layout);
    expect(() => writer.finish()).toThrow('was not written');
    writer.abandon();
  });
});
