/** Links of the documentation lead somewhere: to a file of the tree, and to a heading of it where they name one. */
import { existsSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { expect, it } from '@jest/globals';
import { pages } from './support/documented.js';
import { root } from './support/paths.js';

const withoutCode = (text: string): string => text.replaceAll(/^ *```[\s\S]*?^ *```/gm, '');

/** The names that GitHub gives to the headings of a page. */
function headingsOf(path: string): ReadonlySet<string> {
  const lines = withoutCode(readFileSync(path, 'utf8')).match(/^#+ .*$/gm) ?? [];
  const names = lines.map((line) => line.replace(/^#+ /, '').toLowerCase());
  return new Set(names.map((name) => name.replaceAll(/[^\p{L}\p{N} _-]/gu, '').replaceAll(' ', '-')));
}

function brokenLinks(page: string): readonly string[] {
  const text = withoutCode(readFileSync(join(root, page), 'utf8'));
  const links = [...text.matchAll(/\]\(([^)\s]+)\)/g)].map(([, link]) => link ?? '');
  return links.filter((link) => {
    if (/^[a-z]+:/.test(link)) return false;
    const [path = '', heading] = link.split('#');
    const target = path === '' ? join(root, page) : join(root, dirname(page), path);
    if (!existsSync(target)) return true;
    return heading !== undefined && !headingsOf(target).has(heading);
  });
}

it.each(pages)('links of %s lead somewhere', (page) => {
  expect(brokenLinks(page)).toEqual([]);
});
