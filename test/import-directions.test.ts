/** The table of import directions in docs/architecture.md says what the linter checks. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from '@jest/globals';
import { root } from './support/paths.js';

interface Restriction {
  readonly options: { readonly patterns: readonly { readonly group: readonly string[] }[] };
}
interface Override {
  readonly includes: readonly string[];
  readonly linter: { readonly rules: { readonly style?: { readonly noRestrictedImports?: Restriction } } };
}

const page = readFileSync(join(root, 'docs/architecture.md'), 'utf8');
const namesIn = (text: string): readonly string[] => [...text.matchAll(/`([a-z]+)\/?`/g)].map(([, name]) => name ?? '');

/** Folder → what it may import, from the page. */
function documented(): ReadonlyMap<string, ReadonlySet<string>> {
  const rowsAfter = (head: string): readonly string[] => page.split(head)[1]?.split('\n\n')[0]?.split('\n') ?? [];
  const base = rowsAfter('| folder | subject |\n').flatMap((row) => namesIn(row.split('|')[1] ?? ''));
  const rows = rowsAfter('| folder | may import |\n').map((row) => row.split('|').slice(1, 3));
  return new Map(
    rows.flatMap(([folders = '', imports = '']) => {
      const allowed = new Set([...namesIn(imports), ...(imports.includes('*base*') ? base : [])]);
      return namesIn(folders).map((folder) => [folder, allowed] as const);
    }),
  );
}

/** Folder → what it may not import, from the linter. */
function restricted(): ReadonlyMap<string, ReadonlySet<string>> {
  const { overrides } = JSON.parse(readFileSync(join(root, 'biome.json'), 'utf8')) as {
    overrides: readonly Override[];
  };
  const found = overrides.flatMap(({ includes: [place = ''], linter }) => {
    const groups = linter.rules.style?.noRestrictedImports?.options.patterns.map(({ group }) => group) ?? [];
    const folder = /^(?:src\/)?([a-z]+)\/\*\*$/.exec(place)?.[1];
    // A group that lets index.ts through restricts the way, not the direction.
    const closed = groups.filter((group) => !group.some((each) => each.startsWith('!'))).flat();
    const names = closed.flatMap((pattern) => /^\*\*\/([a-z]+)\/\*\*$/.exec(pattern)?.[1] ?? []);
    return folder === undefined || groups.length === 0 ? [] : [[folder, new Set(names)] as const];
  });
  return new Map(found);
}

it('docs/architecture.md and biome.json have the same import directions', () => {
  const [table, rules] = [documented(), restricted()];
  expect([...table.keys()].sort()).toEqual([...rules.keys()].sort());
  const folders = [...table.keys()];
  const expected = folders.map((folder) => [folder, folders.filter((other) => !isAllowed(table, folder, other))]);
  const checked = folders.map((folder) => [
    folder,
    folders.filter((other) => other !== folder && (folder === 'web' || rules.get(folder)?.has(other))),
  ]);
  expect(checked).toEqual(expected);
});

const isAllowed = (table: ReadonlyMap<string, ReadonlySet<string>>, folder: string, other: string): boolean =>
  folder === other || table.get(folder)?.has(other) === true;
