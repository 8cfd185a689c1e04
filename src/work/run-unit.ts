/** Runs one unit by its id: what every engine calls, be it a loop over a shared folder, a queue or an array job. */
import { CompilerError, fail } from '../diagnostics.js';
import { wholeMegabytes } from '../format.js';
import { type Context, silentContext } from '../log.js';
import { workerName } from './claims.js';
import { type OpenPlan, type UnitMachine, withPlan } from './open-plan.js';
import { peakResident, resetPeak } from './peak-resident.js';
import type { PlanUnit } from './plan-types.js';
import type { UnitResult } from './results.js';
import { unitOf, unitsToRun } from './share.js';
import { openStore } from './store/open-store.js';
import type { PlanLook } from './store/plan-store.js';

/** Errors that say nothing of the unit: it stays open, and whoever ran it stops. */
const NOT_OF_THE_UNIT: ReadonlySet<string> = new Set([
  'disk-full',
  'input-changed',
  'memory-bound',
  'output-exists',
  'plan-open',
  'store',
  'store-package',
  'work-folder',
]);

/** Whether a unit is to blame for an error. */
export const isOfTheUnit = (error: unknown): boolean =>
  !(error instanceof CompilerError && NOT_OF_THE_UNIT.has(error.code));

/**
 * Runs a unit of the plan at `address`, a folder or `s3://BUCKET/PREFIX`, and writes down that it is done; a unit that is done already is found. Units that it needs must
 * be done, else it fails with `plan-open`; a unit that takes more than the memory of the machine is refused with `memory-bound`. Other
 * errors of the unit count as one of the times that it failed. Fails like opening the plan does: `plan`, `plan-version`, `input-changed`.
 */
export async function runUnit(
  address: string,
  id: string,
  machine: UnitMachine = {},
  context: Context = silentContext(),
): Promise<UnitResult> {
  const { workDir, threads } = machine;
  const store = await openStore(address, { log: context.log, workDir, threads });
  try {
    return await withPlan(store, machine, context, (opened) => runClaimed(opened, id, context));
  } finally {
    await store.close();
  }
}

async function runClaimed(opened: OpenPlan, id: string, context: Context): Promise<UnitResult> {
  const { store } = opened;
  const unit = unitOf(unitsToRun(store.plan), id, store.address);
  await store.look();
  // Whoever calls this has a lock of its own; the claim shows others that the unit is running.
  const claim = await store.claim(id);
  try {
    return await runOpened(opened, unit, context);
  } catch (error) {
    if (isOfTheUnit(error) && !context.signal.aborted) await store.saveFailure(id, error);
    throw error;
  } finally {
    await claim?.release();
  }
}

/** As `runUnit`, of a plan that is open; failures are thrown and not written down. `look` is the last look at the plan, if there was one just now. */
export async function runOpened(
  opened: OpenPlan,
  unit: PlanUnit,
  context: Context,
  look?: PlanLook,
): Promise<UnitResult> {
  const { machine, runner, store } = opened;
  const found = (look ?? (await store.look())).result(unit.id);
  if (found !== undefined) return found;
  const open = await store.bring(unit.needs);
  if (open !== undefined) fail('plan-open', unit.id, `The unit needs ${open}, which is not done`);
  requireFits(unit, machine.memoryBytes);
  const started = performance.now();
  resetPeak();
  const paths = await runner.run(unit, context).catch(async (error: unknown) => {
    context.signal.throwIfAborted();
    throw await causeOf(error, opened, unit);
  });
  await opened.check();
  const seconds = (performance.now() - started) / 1000;
  const { threads } = machine;
  return store.save(unit.id, paths, { seconds, peakMemoryBytes: peakResident(), threads, worker: workerName() });
}

/** What is behind an error of a unit, if it is none of its own: inputs that changed, results of other units that are damaged, a full disk. */
async function causeOf(error: unknown, { check, store }: OpenPlan, unit: PlanUnit): Promise<unknown> {
  await check();
  for (const id of unit.needs)
    if (!(await store.check(id)))
      return new CompilerError('plan-open', unit.id, `The unit needs ${id}, whose results are damaged`);
  const { code = '' } = error as NodeJS.ErrnoException;
  return FULL.has(code) ? new CompilerError('disk-full', store.folder, (error as Error).message) : error;
}

/** Errors of the system that say that a disk or a share of it is full. */
const FULL: ReadonlySet<string> = new Set(['ENOSPC', 'EDQUOT']);

/** Error code `memory-bound`, with the least that works, where a unit takes more memory than there is. */
export function requireFits(unit: PlanUnit, memoryBytes: number): void {
  if (unit.memoryBytes > memoryBytes)
    fail(
      'memory-bound',
      unit.id,
      `The unit needs ${wholeMegabytes(unit.memoryBytes)}, but \`memoryBytes\` is ${wholeMegabytes(memoryBytes)}`,
    );
}
