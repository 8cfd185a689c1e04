import { rmSync } from 'node:fs';
import { afterAll, expect, it } from '@jest/globals';
import { requireFoldable } from '../../src/set/foldable.js';
import { product, writeSet } from '../support/nested.js';
import { temporaryFolder } from '../support/paths.js';

const folder = temporaryFolder();
afterAll(() => rmSync(folder, { recursive: true }));

const { layout } = writeSet(folder, product({ k: 64, n: 16 }), {
  bits: [2, 4, 8],
  block: 32,
  decode: 'ab',
  tables: 'fp16',
}).written;

it('counts the bytes of joined codes', () => {
  expect(() => requireFoldable(layout, () => 8, 14, 1024)).not.toThrow();
  expect(() => requireFoldable(layout, () => 8, 14, 1023)).toThrow(expect.objectContaining({ code: 'not-folded' }));
  expect(() => requireFoldable(layout, () => 4, 14, 512)).not.toThrow();
});

it('knows that older operator sets join int32', () => {
  expect(() => requireFoldable(layout, () => 8, 13, 4095)).toThrow(expect.objectContaining({ code: 'not-folded' }));
  expect(() => requireFoldable(layout, () => 8, 13, 4096)).not.toThrow();
});

it('asks nothing of a plane that is stored as it is read', () => {
  expect(() => requireFoldable(layout, () => 2, 13, 1)).not.toThrow();
});

it('takes every projection of a usual size by the limit of the runtime', () => {
  expect(() => requireFoldable(layout, () => 8, 13)).not.toThrow();
});
