import { readFileSync } from 'node:fs';
import { fail } from '../diagnostics.js';
import { isDamaged } from './seal.js';

/** What a file of results holds. Error code `report-input` when that is not JSON, `damaged` when it has a digest that does not hold. */
export function readSavedJson(path: string): unknown {
  const text = readFileSync(path, 'utf8');
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return fail('report-input', path, 'The file is not JSON');
  }
  return isDamaged(text) ? fail('damaged', path, 'The file does not have the digest that it was written with') : value;
}
