/** The stages of a compilation that learn from all projections at once, run for what they leave in the work folder. */
import { rmSync } from 'node:fs';
import { temporaryFolder } from '../files/temporary.js';
import type { Measured } from '../solve/index.js';
import type { Job } from './open.js';
import { prepare, solve, train } from './solve-stage.js';
import { StagingFolder } from './staging-folder.js';

/** The last stage that is run: `solve` with blocks or weights that are trained before it, `train` with what learns on its result. */
export type LastStage = 'solve' | 'train';

/** Runs a compilation up to a stage, with statistics that were measured. Writes nothing but records of the work folder. */
export async function runStages(job: Job, measured: Measured, last: LastStage): Promise<void> {
  const folder = temporaryFolder('stages', job.machine.temporary);
  const staging = new StagingFolder(folder);
  try {
    const prepared = await prepare(job, measured, staging);
    const { projections } = solve(job, measured, prepared);
    if (last === 'solve') for await (const _ of projections) job.context.signal.throwIfAborted();
    else await train(job, measured, prepared, projections, staging);
  } finally {
    await staging.close();
    rmSync(folder, { recursive: true, force: true });
  }
}
