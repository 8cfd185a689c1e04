/** The folder of results that a later run may reuse. */
import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { fail } from '../diagnostics.js';
import { stagedName } from './temporary.js';

/** Makes the folder where it is missing. Error code `work-folder` when nothing can be written there. */
export function openWorkFolder(folder: string): void {
  try {
    mkdirSync(folder, { recursive: true });
    const probe = stagedName(`${folder}/probe`);
    writeFileSync(probe, '');
    rmSync(probe, { force: true });
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    fail('work-folder', folder, `Nothing can be written there (${code ?? String(error)})`);
  }
}
