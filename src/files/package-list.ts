/** `matquant-package.json`: the files of a packaged folder with their digests, by which a later run knows its own. */
import { readFileSync, statSync } from 'node:fs';
import { dirname, join, relative, sep } from 'node:path';
import { digestOfWhole } from './range-digests.js';

export const PACKAGE_LIST = 'matquant-package.json';

export interface ListedFile {
  /** Relative to the folder, with `/`. */
  readonly path: string;
  readonly bytes: number;
  readonly sha256: string;
}

/** Files that are read again to see whether they were changed; larger ones are known by their size. */
const DIGESTED = 1 << 22;

/** The files that the list of a folder names; none where there is no list. */
export function listOf(folder: string): readonly ListedFile[] {
  try {
    const value = JSON.parse(readFileSync(join(folder, PACKAGE_LIST), 'utf8')) as { format?: unknown; files?: unknown };
    return value.format === 'matquant-package' && Array.isArray(value.files) ? value.files.filter(isListed) : [];
  } catch {
    return [];
  }
}

/** True when the file is as the list of its folder, or of one above it, says. */
export function isPackaged(path: string): boolean {
  const folders = [dirname(path), dirname(dirname(path)), dirname(dirname(dirname(path)))];
  return folders.some((folder) => {
    const name = relative(folder, path).split(sep).join('/');
    return name === PACKAGE_LIST
      ? listOf(folder).length > 0
      : listOf(folder).some((each) => each.path === name && isSame(path, each));
  });
}

function isSame(path: string, { bytes, sha256 }: ListedFile): boolean {
  const stats = statSync(path, { throwIfNoEntry: false });
  if (stats === undefined || stats.size !== bytes) return false;
  return bytes > DIGESTED || digestOfWhole(path) === sha256;
}

const isListed = (value: unknown): value is ListedFile => {
  const { path, bytes, sha256 } = (value ?? {}) as Readonly<Record<string, unknown>>;
  const isInside = typeof path === 'string' && !/(^|\/)\.\.(\/|$)|^[/\\]|[\\:]/.test(path);
  return isInside && typeof bytes === 'number' && typeof sha256 === 'string';
};
