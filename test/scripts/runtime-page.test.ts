import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from '@jest/globals';
import { runtimePage } from '../../scripts/runtime-page.js';
import { root } from '../support/paths.js';

it('docs/runtimes.md says what the table of facts says; npm run golden renews it', () => {
  expect(readFileSync(join(root, 'docs/runtimes.md'), 'utf8')).toBe(runtimePage());
});
