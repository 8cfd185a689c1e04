import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from '@jest/globals';
import { recipePage } from '../../scripts/recipe-page.js';
import { root } from '../support/paths.js';

it('docs/recipes.md says what the schema says; npm run golden renews it', () => {
  expect(readFileSync(join(root, 'docs/recipes.md'), 'utf8')).toBe(recipePage());
});
