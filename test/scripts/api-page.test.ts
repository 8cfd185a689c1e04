import { mkdtempSync, readFileSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, it } from '@jest/globals';
import { exportsOf } from '../../scripts/api/declarations.js';
import { apiPage } from '../../scripts/api-page.js';
import { root } from '../support/paths.js';

const { text, gaps } = apiPage(join(root, 'dist'));

it('docs/api.md is made from the declarations; npm run golden renews it', () => {
  expect(readFileSync(join(root, 'docs/api.md'), 'utf8')).toBe(text);
});

it('everything that is exported has a doc comment', () => {
  expect(gaps.undocumented).toEqual([]);
});

it('every type that an exported declaration names is exported too', () => {
  expect(gaps.unexported).toEqual([]);
});

it('reads declarations through re-exports, renames and unions over several lines', () => {
  const folder = mkdtempSync(join(tmpdir(), 'matquant-test-'));
  writeFileSync(join(folder, 'index.d.ts'), "export { type Inner as Outer, run } from './inner.js';\n");
  writeFileSync(
    join(folder, 'inner.d.ts'),
    `/** The file. */
import { type Other } from './other.js';
/** A choice. */
export type Inner = 
/** One. */
{
    readonly a: '};';
}
 | Other;
interface Hidden {
    readonly b: number;
}
/**
 * Runs
 * it.
 */
export declare function run(inner: Inner): Hidden;
`,
  );
  const [outer, run] = exportsOf(join(folder, 'index.d.ts'));
  expect(outer).toEqual({
    name: 'Outer',
    kind: 'type',
    doc: 'A choice.',
    text: "type Inner =\n/** One. */\n{\n  readonly a: '};';\n}\n | Other;",
    mentions: ['Other'],
  });
  expect(run).toMatchObject({ name: 'run', kind: 'function', doc: 'Runs it.', mentions: ['Inner', 'Hidden'] });
});
