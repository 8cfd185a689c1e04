/** A folder that a plan is written to. */
import { copyFileSync, existsSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import type { CompileOptions } from '../../compile/index.js';
import { fail } from '../../diagnostics.js';
import { staged } from '../../files/staging.js';
import { guardOutputs } from '../../outputs/index.js';
import { textFiles } from '../../text/index.js';
import { planPath, planText, portable, writePlan } from '../plan-file.js';
import type { Plan } from '../plan-types.js';
import type { CarriedFile, PlanTarget } from './plan-store.js';

export class FolderTarget implements PlanTarget {
  readonly carries = false;
  readonly #folder: string;

  constructor(folder: string) {
    this.#folder = folder;
  }

  guard({ model, text, statistics = [], overwrite, work }: CompileOptions): void {
    guardOutputs({
      models: [model],
      inputs: textFiles(text),
      inputFolders: statistics,
      files: [{ path: planPath(this.#folder), kind: 'plan' }],
      folders: [this.#folder, work],
      overwrite,
    });
  }

  naming(): (path: string) => string {
    return (path) => portable(path, this.#folder);
  }

  /**
   * Writes a plan where there is none. Markers of another plan are removed, but its results stay in the work folder, where they are found
   * by their names.
   */
  async save(plan: Plan, files: readonly CarriedFile[], overwrite: boolean): Promise<void> {
    const path = planPath(this.#folder);
    const before = existsSync(path) ? readFileSync(path, 'utf8') : undefined;
    if (before === planText(plan)) return;
    if (before !== undefined && !overwrite) refuseOther(path);
    for (const name of ['done', 'claims', 'failed', 'lost'])
      rmSync(join(this.#folder, name), { recursive: true, force: true });
    for (const { source, path: name } of files)
      staged(join(this.#folder, name), (temporary) => copyFileSync(source, temporary));
    writePlan(this.#folder, plan);
  }

  close(): void {
    // Nothing is open.
  }
}

/** Error code `output-exists`: another plan is where this one is to be written. */
export const refuseOther = (at: string): never =>
  fail(
    'output-exists',
    at,
    'There is a plan of another model, text or options: choose another place or set `overwrite`',
  );
