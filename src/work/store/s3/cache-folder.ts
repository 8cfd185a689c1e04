/** Where a worker keeps what it has of a plan on an object store: named by the plan, so that workers of one machine share it. */
import { createHash } from 'node:crypto';
import { realpathSync } from 'node:fs';
import { isAbsolute, join, normalize } from 'node:path';
import { fail } from '../../../diagnostics.js';
import { userCache } from '../../../files/user-cache.js';
import { openWorkFolder } from '../../../files/work-folder.js';
import { planText } from '../../plan-file.js';
import type { Plan } from '../../plan-types.js';

/** Path of the folder; without `workDir` in the user's folder of caches. */
export function cacheFolder(plan: Plan, workDir: string | undefined): string {
  const digest = createHash('sha256').update(planText(plan)).digest('hex');
  return join(workDir ?? join(userCache(), 'matquant'), `plan-${digest.slice(0, 16)}`);
}

/** Makes the folder; its path without links, as files in it are named. Error code `work-folder`. */
export function openCache(folder: string): string {
  openWorkFolder(folder);
  return realpathSync(folder);
}

/** A path below the folder. Error code `damaged-file` for one that leaves it: whoever wrote it is not this tool. */
export function pathInside(folder: string, path: string): string {
  const plain = normalize(path);
  if (isAbsolute(plain) || /^\.\.([/\\]|$)/.test(plain))
    fail('damaged-file', path, 'The path leaves the folder of the plan');
  return join(folder, plain);
}
