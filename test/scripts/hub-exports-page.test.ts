import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from '@jest/globals';
import { HUB_EXPORTS, SOURCES } from '../../scripts/hub-exports/rows.js';
import { hubExportsPage, hubExportsPageOf } from '../../scripts/hub-exports-page.js';
import { root } from '../support/paths.js';

it('docs/hub-exports.md says what its table and docs/models.md say; npm run golden renews it', () => {
  const page = hubExportsPageOf(join(root, 'docs/models.md'));
  expect(readFileSync(join(root, 'docs/hub-exports.md'), 'utf8')).toBe(page);
});

it('uses every source, and none that is not there', () => {
  const used = new Set(HUB_EXPORTS.flatMap(({ sources }) => sources));
  expect([...used].toSorted((a, b) => a - b)).toEqual(SOURCES.map((_, index) => index + 1));
});

it('refuses a fixture that docs/models.md does not have', () => {
  expect(() => hubExportsPage('| Gemma 3 | another exporter | — | — |')).toThrow('docs/models.md has no row');
});
