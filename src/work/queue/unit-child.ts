/** The process in which a worker of a queue runs units: the worker's own event loop stays free to renew locks. */
import { type Context, silentContext } from '../../log.js';
import { Claims, workerName } from '../claims.js';
import { partsOf, saveFailure } from '../failures.js';
import { type OpenPlan, withPlan, workFolderOf } from '../open-plan.js';
import { Results } from '../results.js';
import { isOfTheUnit, runOpened } from '../run-unit.js';
import { unitOf, unitsToRun } from '../share.js';
import type { FromProcess, OpenMessage, ToProcess, UnitOutcome } from './unit-messages.js';

/** A plan that stays open between units. */
interface Session {
  readonly opened: OpenPlan;
  readonly results: Results;
  readonly claims: Claims;
}

const tell = (message: FromProcess): void => {
  if (process.connected) process.send?.(message);
};

const context: Context = {
  ...silentContext(),
  log: { info: (text) => tell({ say: 'info', text }), warn: (text) => tell({ say: 'warn', text }) },
  progress: { update: (progress) => tell({ progress }) },
};

let session: Promise<Session> | undefined;

process.on('message', (message: ToProcess) => {
  if ('open' in message) {
    session = openSession(message.open);
    // Who asks for a unit is told what went wrong.
    session.catch(() => undefined);
  } else {
    void run(message.unit).then((outcome) => tell({ outcome }));
  }
});

// An interrupt is for the worker, which lets a unit end; without a worker there is nobody to run units for.
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, () => undefined);
process.on('disconnect', () => process.exit(1));

/** Opens a plan for as long as the process lives. */
function openSession({ plan: folder, machine, leaseSeconds }: OpenMessage): Promise<Session> {
  return new Promise((resolve, reject) => {
    withPlan(folder, machine, context, (opened) => {
      const results = new Results(folder, workFolderOf(folder, opened.plan), context.log);
      const claims = new Claims(folder, { leaseSeconds, threads: opened.machine.threads }, context.log);
      resolve({ opened, results, claims });
      return new Promise<never>(() => undefined);
    }).catch(reject);
  });
}

async function run(id: string): Promise<UnitOutcome> {
  try {
    if (session === undefined) throw new Error('No plan was named');
    return await runClaimed(await session, id);
  } catch (error) {
    return { kind: 'stop', error: partsOf(error) };
  }
}

async function runClaimed({ opened, results, claims }: Session, id: string): Promise<UnitOutcome> {
  const unit = unitOf(unitsToRun(opened.plan), id, opened.folder);
  const claim = claims.take(id);
  if (claim === undefined) return { kind: 'open' };
  try {
    return { kind: 'done', result: await runOpened(opened, results, unit, context) };
  } catch (error) {
    const parts = partsOf(error);
    if (parts.code === 'plan-open') return { kind: 'open' };
    if (!isOfTheUnit(error)) return { kind: 'stop', error: parts };
    return { kind: 'failed', error: parts, times: saveFailure(opened.folder, id, error, workerName()) };
  } finally {
    claim.release();
  }
}
