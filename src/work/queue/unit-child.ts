/** The process in which a worker of a queue runs units: the worker's own event loop stays free to renew locks. */
import { type Context, silentContext } from '../../log.js';
import { partsOf } from '../failures.js';
import { type OpenPlan, withPlan } from '../open-plan.js';
import { isOfTheUnit, runOpened } from '../run-unit.js';
import { unitOf, unitsToRun } from '../share.js';
import { openStore } from '../store/open-store.js';
import type { FromProcess, OpenMessage, ToProcess, UnitOutcome } from './unit-messages.js';

const tell = (message: FromProcess): void => {
  if (process.connected) process.send?.(message);
};

const context: Context = {
  ...silentContext(),
  log: { info: (text) => tell({ say: 'info', text }), warn: (text) => tell({ say: 'warn', text }) },
  progress: { update: (progress) => tell({ progress }) },
};

/** A plan that stays open between units. */
let session: Promise<OpenPlan> | undefined;

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
async function openSession({ plan, machine, leaseSeconds }: OpenMessage): Promise<OpenPlan> {
  const { workDir, threads } = machine;
  const store = await openStore(plan, { log: context.log, workDir, threads, leaseSeconds });
  return new Promise((resolve, reject) => {
    withPlan(store, machine, context, (opened) => {
      resolve(opened);
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

async function runClaimed(opened: OpenPlan, id: string): Promise<UnitOutcome> {
  const { store } = opened;
  const unit = unitOf(unitsToRun(store.plan), id, store.address);
  await store.look();
  const claim = await store.claim(id);
  if (claim === undefined) return { kind: 'open' };
  try {
    return { kind: 'done', result: await runOpened(opened, unit, context) };
  } catch (error) {
    const parts = partsOf(error);
    if (parts.code === 'plan-open') return { kind: 'open' };
    if (!isOfTheUnit(error)) return { kind: 'stop', error: parts };
    return { kind: 'failed', error: parts, times: await store.saveFailure(id, error) };
  } finally {
    await claim.release();
  }
}
