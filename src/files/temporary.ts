/**
 * Temporary folders, and what a killed process left behind. A name that `temporaryFolder` or `stagedName` gave carries its owner; the
 * first time that a process makes something in a folder, it removes what ended processes left there.
 */

import { randomBytes } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, dirname, join, resolve } from 'node:path';
import { namesIn } from './listed-files.js';
import { isAbandoned, ownerTag } from './owner.js';
import { FOLDER_PATTERN, STAGED_PATTERN } from './temporary-names.js';

/** Names of temporary folders and of staged output; nothing else is ever removed. */
const NAMES = new RegExp(`^(?:${FOLDER_PATTERN}|\\..+${STAGED_PATTERN})$`);

/** Characters of the target in a staged name: with them and the rest, names stay below what disks take. */
const LONGEST = 60;

/** Makes `matquant-KIND-…` in a folder, the system's for temporary files by default. The caller removes it. */
export function temporaryFolder(kind: string, parent: string = tmpdir()): string {
  removeLeftovers(parent);
  return mkdtempSync(join(parent, `matquant-${kind}-${ownerTag()}-`));
}

/** A path beside `target` for what will be renamed to it. */
export function stagedName(target: string): string {
  removeLeftovers(dirname(target));
  return join(
    dirname(target),
    `.${basename(target).slice(0, LONGEST)}.${ownerTag()}.${randomBytes(4).toString('hex')}.tmp`,
  );
}

/** Folders that were looked through. */
const seen: Set<string> = new Set();

/** Removes what processes left in a folder that have ended on this machine; looks once. */
export function removeLeftovers(folder: string): void {
  const place = resolve(folder);
  if (seen.has(place)) return;
  seen.add(place);
  for (const name of namesIn(place)) {
    const match = NAMES.exec(name);
    if (match === null || !isAbandoned(match[1] ?? match[5] ?? '')) continue;
    try {
      rmSync(join(place, name), { recursive: true, force: true });
    } catch {
      // It belongs to another user; it is theirs to remove.
    }
  }
}
