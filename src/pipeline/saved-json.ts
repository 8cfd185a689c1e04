import { readFileSync } from 'node:fs';
import { fail } from '../diagnostics.js';

/** What a file of results holds. Error code `report-input` when that is not JSON. */
export function readSavedJson(path: string): unknown {
  try {
    return JSON.parse(readFileSync(path, 'utf8'));
  } catch {
    return fail('report-input', path, 'The file is not JSON');
  }
}
