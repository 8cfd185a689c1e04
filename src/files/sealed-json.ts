/** JSON files for people that are read back by later runs: the first field is the digest of the others. */
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { fail } from '../diagnostics.js';

/** The text of an object with the SHA-256 of its JSON in front. `indent` as for `JSON.stringify`. */
export function sealedText(value: object, indent?: number): string {
  return `${JSON.stringify({ sha256: digestOf(value), ...value }, null, indent)}\n`;
}

/**
 * The object of a sealed file, without its digest. Error code `file-missing` when it cannot be read, `damaged-file` when it is not
 * as it was written.
 */
export function readSealed(path: string): unknown {
  const text = readText(path);
  let parsed: unknown;
  try {
    parsed = JSON.parse(text);
  } catch {
    return fail('damaged-file', path, 'The file is not JSON');
  }
  const { sha256, ...value } = Object(parsed) as Record<string, unknown>;
  return sha256 === digestOf(value) ? value : fail('damaged-file', path, 'The file is not as it was written');
}

function readText(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    return fail('file-missing', path, `The file cannot be read (${code ?? String(error)})`);
  }
}

const digestOf = (value: object): string => createHash('sha256').update(JSON.stringify(value)).digest('hex');
