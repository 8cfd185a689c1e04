/** Names that become parts of file names: one path component that every file system takes. */
import { basename } from 'node:path';
import { fail } from '../diagnostics.js';

/** Bytes of a name: with what is added to it, of a temporary file too, it stays below the 255 of most file systems. */
const LONGEST_NAME = 150;
/** Bytes of the name of an output. */
const LONGEST_FILE = 200;
const LONGEST_PATH = 4000;

const FORBIDDEN = /[\p{Cc}<>:"/\\|?*]/u;
const RESERVED = /^(con|prn|aux|nul|com[0-9¹²³]|lpt[0-9¹²³])(\.|$)/i;

/** Fails with `bad-usage` unless `name` can begin the names of files. `at` is where it came from. */
export function requireName(name: string, at: string): string {
  const what = problemOf(name);
  return what === undefined ? name : fail('bad-usage', at, `${shown(name)} cannot be the name of a file: ${what}`);
}

function problemOf(name: string): string | undefined {
  if (name === '') return 'it is empty';
  if (name === '.' || name === '..') return 'it names a folder';
  const forbidden = FORBIDDEN.exec(name)?.[0];
  if (forbidden !== undefined) return `${JSON.stringify(forbidden)} is not allowed in it`;
  if (/[. ]$/.test(name)) return 'it ends in a dot or a space';
  if (RESERVED.test(name)) return 'Windows reserves it for a device';
  const bytes = Buffer.byteLength(name);
  return bytes > LONGEST_NAME ? `it takes ${bytes} bytes, ${LONGEST_NAME} are allowed` : undefined;
}

/** Fails with `bad-usage` unless `path` ends in a file name that can be written, with a temporary name beside it. */
export function requireFileName(path: string): void {
  const bytes = Buffer.byteLength(basename(path));
  if (bytes === 0 || path.includes('\0')) fail('bad-usage', shown(path), 'This is not the path of a file');
  if (bytes > LONGEST_FILE || path.length > LONGEST_PATH) fail('bad-usage', shown(path), 'The path is too long');
}

const shown = (name: string): string => {
  const text = JSON.stringify(name);
  return text.length > 80 ? `${text.slice(0, 79)}…"` : text;
};
