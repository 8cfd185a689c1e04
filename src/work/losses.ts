/** Units whose workers ended without a result: `PLAN/lost/ID.txt` has a line for each time. They do not count as failures. */
import { appendFileSync, mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { textOf } from './claim-text.js';

const pathOf = (plan: string, unit: string): string => join(plan, 'lost', `${unit}.txt`);

/** Writes down that a worker has not finished a unit. What cannot be written is not counted. */
export function saveLoss(plan: string, unit: string, worker: string): void {
  try {
    mkdirSync(join(plan, 'lost'), { recursive: true });
    appendFileSync(pathOf(plan, unit), `${worker}\n`);
  } catch {
    // A full disk is said by whoever writes results.
  }
}

/** How often workers have not finished a unit. */
export const lossesOf = (plan: string, unit: string): number =>
  (textOf(pathOf(plan, unit)) ?? '').split('\n').length - 1;
