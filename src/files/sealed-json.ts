/** JSON files for people that are read back by later runs; `seal.ts` says how they carry their own digest. */
import { readFileSync } from 'node:fs';
import { fail } from '../diagnostics.js';
import { isSealed } from './seal.js';

/**
 * The object of a sealed file, without its digest. Error code `file-missing` when it cannot be read, `damaged-file` when it is not
 * as it was written.
 */
export const readSealed = (path: string): unknown => parseSealed(readText(path), path);

/** The object of a sealed text, without its digest. Error code `damaged-file` at `at` when it is not as it was written. */
export function parseSealed(text: string, at: string): unknown {
  if (!isSealed(text)) return fail('damaged-file', at, 'The file is not as it was written');
  const { sha256: _, ...value } = JSON.parse(text) as Record<string, unknown>;
  return value;
}

function readText(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    return fail('file-missing', path, `The file cannot be read (${code ?? String(error)})`);
  }
}
