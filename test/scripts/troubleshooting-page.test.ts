import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from '@jest/globals';
import { codesLeftOut, troubleshootingPage } from '../../scripts/troubleshooting-page.js';
import { ERRORS, REFUSALS } from '../../src/diagnostics.js';
import { root } from '../support/paths.js';

it('docs/troubleshooting.md says what the table of diagnostics says; npm run golden renews it', () => {
  expect(readFileSync(join(root, 'docs/troubleshooting.md'), 'utf8')).toBe(troubleshootingPage());
});

it('has one row for every code; new ones get a usual cause in scripts/troubleshooting/subjects.ts', () => {
  expect(codesLeftOut()).toEqual([]);
  const rows = troubleshootingPage().match(/^\| `[a-z0-9-]+` \|/gm) ?? [];
  expect(rows).toHaveLength(Object.keys(ERRORS).length + Object.keys(REFUSALS).length);
});

it('names flags, not options of the library, in what to do', () => {
  const page = troubleshootingPage();
  expect(page).toContain('| raise --memory, or use a recipe that needs less |');
  expect(page).not.toMatch(/`(memoryBytes|embeddingBits|initializerInputs|dequantizeSource)`/);
});
