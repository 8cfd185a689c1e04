/**
 * A worker that takes units from a queue. The queue says who runs what; that a unit is done is said by the plan alone. So a queue
 * may lose everything: a worker that finds nothing to do queues what is ready and nobody runs.
 */
import { createHash } from 'node:crypto';
import { fail } from '../../diagnostics.js';
import type { Context } from '../../log.js';
import { pause } from '../../pause.js';
import { phasesOf } from '../emit/phases.js';
import { errorOf } from '../failures.js';
import { requireVersion } from '../made-by.js';
import { planText } from '../plan-file.js';
import type { Plan, PlanUnit } from '../plan-types.js';
import type { UnitResult } from '../results.js';
import { unitsToRun } from '../share.js';
import { openStore } from '../store/open-store.js';
import type { PlanLook, PlanStore } from '../store/plan-store.js';
import { isOpen, surveyOf, type UnitSurvey } from '../survey.js';
import { endOf, sayDone, sayFailed, sayWaiting, type WorkResult } from '../work-end.js';
import type { WorkOptions } from '../worker.js';
import { addressOf, type QueueAddress } from './address.js';
import { openBullQueue } from './bull-queue.js';
import { UnitProcess } from './unit-process.js';
import type { QueuedUnit, TakenJob, UnitQueue } from './unit-queue.js';

/** What a worker of a queue is told. */
export type QueueWorkOptions = WorkOptions & { readonly queue: string };

/** The plan of a worker. It opens neither model nor text: the process of its units does. */
interface QueuedPlan {
  readonly store: PlanStore;
  readonly memoryBytes: number;
  readonly units: readonly PlanUnit[];
}

/** Name of a plan in queues: a digest of its text, the same wherever it is kept. */
const planName = (plan: Plan): string => createHash('sha256').update(planText(plan)).digest('hex').slice(0, 16);

/** Units of about the same memory are in one queue. */
const memoryClassOf = ({ memoryBytes }: PlanUnit): string => `${Math.ceil(memoryBytes / 2 ** 20)}MiB`;

/**
 * Runs units until no unit that fits is open, or `context.signal` is aborted: the unit under way is finished first. Fails like `work`, and
 * with `queue` or `queue-package` where the server cannot be used.
 */
export async function workFromQueue(options: QueueWorkOptions, context: Context): Promise<WorkResult> {
  if (options.unit !== undefined) fail('bad-usage', 'unit', '`queue` hands out units itself: leave out `unit`');
  const address = addressOf(options.queue);
  const { leaseSeconds, workDir, threads } = options;
  const store = await openStore(options.plan, { log: context.log, leaseSeconds, workDir, threads });
  try {
    return await workOn(store, address, options, context);
  } finally {
    await store.close();
  }
}

async function workOn(
  store: PlanStore,
  address: QueueAddress,
  options: QueueWorkOptions,
  context: Context,
): Promise<WorkResult> {
  const { plan } = store;
  const { leaseSeconds } = options;
  requireVersion(plan, store.address);
  const { memoryBytes = plan.options.memoryBytes } = options;
  const units = unitsToRun(plan);
  const fitting = units.filter((unit) => unit.memoryBytes <= memoryBytes);
  const classes = fitting.toSorted((a, b) => b.memoryBytes - a.memoryBytes).map(memoryClassOf);
  const named = { address, plan: planName(plan), classes: [...new Set(classes)] };
  const queue = await openBullQueue({ ...named, leaseSeconds, log: context.log });
  const worker = new QueueWorker({ store, memoryBytes, units }, options, queue, context);
  try {
    if (options.retry) await store.clearFailures(units.map(({ id }) => id));
    return await worker.run();
  } finally {
    await worker.close();
  }
}

class QueueWorker {
  readonly #planned: QueuedPlan;
  readonly #options: QueueWorkOptions;
  readonly #queue: UnitQueue;
  readonly #context: Context;
  readonly #process: UnitProcess;
  readonly #phases: ReadonlyMap<string, number>;
  readonly #priorities: ReadonlyMap<string, number>;
  readonly #ran: UnitResult[] = [];
  /** What the queue was asked and has not answered yet: its server may be away. */
  #taking: Promise<TakenJob | undefined> | undefined;
  #filling: Promise<void> | undefined;

  constructor(planned: QueuedPlan, options: QueueWorkOptions, queue: UnitQueue, context: Context) {
    const { store, units } = planned;
    const { leaseSeconds, threads, memoryBytes, workDir } = options;
    this.#planned = planned;
    this.#options = options;
    this.#queue = queue;
    this.#context = context;
    const machine = { threads, memoryBytes, workDir };
    this.#process = new UnitProcess({ plan: store.address, machine, leaseSeconds }, store, context);
    this.#phases = new Map(phasesOf(units).flatMap((phase, at) => phase.map(({ id }) => [id, at + 1] as const)));
    const longest = units.toSorted((a, b) => b.cost.seconds - a.cost.seconds);
    this.#priorities = new Map(longest.map(({ id }, at) => [id, at + 1]));
  }

  async run(): Promise<WorkResult> {
    const { signal } = this.#context;
    const { once, pollSeconds } = this.#options;
    let idle = 0;
    for (let isFirst = true; ; isFirst = false) {
      const look = await this.#planned.store.look();
      const survey = this.#survey(look);
      const isEnough = once === true && this.#ran.length > 0;
      if (signal.aborted || isEnough || !survey.some((each) => this.#isOpen(each))) return this.#end(survey, isEnough);
      if (isFirst) await this.#fill(survey, look);
      const job = await this.#take();
      if (job !== undefined) {
        await this.#serve(job);
        continue;
      }
      await this.#fill(survey, look);
      // The first time, units may have been queued just now.
      idle++;
      if (idle === 2) sayWaiting(survey, this.#planned.memoryBytes, this.#context.log);
      await pause(1000 * pollSeconds, signal);
    }
  }

  async close(): Promise<void> {
    this.#process.close();
    // A job that comes too late is given up, so that its lock is not renewed for ever; whoever misses it queues it again.
    void this.#taking?.then((job) => job?.complete());
    await this.#queue.close();
  }

  #survey(look: PlanLook): readonly UnitSurvey[] {
    return surveyOf(this.#planned.units, look);
  }

  #isOpen({ unit, state }: UnitSurvey): boolean {
    return isOpen(state) && unit.memoryBytes <= this.#planned.memoryBytes;
  }

  async #end(survey: readonly UnitSurvey[], isEnough: boolean): Promise<WorkResult> {
    const { log, signal } = this.#context;
    if (survey.every(({ state }) => state === 'done')) await answered(this.#queue.forget());
    const share = new Set(survey.map(({ unit }) => unit.id));
    const { memoryBytes } = this.#planned;
    return endOf({ survey, share, ran: this.#ran, memoryBytes, isEnough, interrupted: signal.aborted, log });
  }

  /** Queues what is ready and nobody runs. Those that are queued already stay. */
  async #fill(survey: readonly UnitSurvey[], look: PlanLook): Promise<void> {
    this.#filling ??= this.#fillPhases(survey, look).finally(() => {
      this.#filling = undefined;
    });
    await answered(this.#filling, this.#context.signal);
  }

  async #fillPhases(survey: readonly UnitSurvey[], look: PlanLook): Promise<void> {
    const ready = survey.filter(({ unit, state }) => state === 'ready' && !look.isTaken(unit.id));
    const phases = new Map<number, QueuedUnit[]>();
    for (const { unit } of ready) {
      const phase = this.#phases.get(unit.id) ?? 1;
      const queued = { id: unit.id, memoryClass: memoryClassOf(unit), priority: this.#priorities.get(unit.id) ?? 1 };
      phases.set(phase, [...(phases.get(phase) ?? []), queued]);
    }
    for (const [phase, units] of phases) await this.#queue.fill(phase, units);
  }

  async #take(): Promise<TakenJob | undefined> {
    this.#taking ??= this.#queue.take().catch(() => undefined);
    const job = await answered(this.#taking, this.#context.signal);
    if (job === LATE) return undefined;
    this.#taking = undefined;
    return job;
  }

  async #serve(job: TakenJob): Promise<void> {
    const { unit } = job;
    const look = await this.#planned.store.look();
    if (unit === undefined || look.result(unit) !== undefined) {
      if (unit === undefined) await this.#fill(this.#survey(look), look);
      await answered(job.complete());
      return;
    }
    const { log, progress } = this.#context;
    const outcome = await this.#process.run(unit, (update) => {
      progress.update(update);
      job.progress(update);
    });
    if (outcome.kind === 'failed') {
      const { error, times } = outcome;
      sayFailed(unit, times, error.message, log);
      await answered(job.fail(new Error(error.message)));
      return;
    }
    if (outcome.kind === 'done') {
      this.#ran.push(outcome.result);
      sayDone(outcome.result, log);
    }
    await answered(job.complete());
    if (outcome.kind === 'stop') throw errorOf(outcome.error, outcome.error.at);
  }
}

const LATE: unique symbol = Symbol('late');
/** Milliseconds that a server may take for an answer before the plan is looked at again. */
const ANSWER = 5000;
const NEVER: AbortSignal = new AbortController().signal;

/** What a promise gives; `LATE` where that takes too long or is no longer wanted, and nothing where it failed. */
async function answered<T>(work: Promise<T>, signal: AbortSignal = NEVER): Promise<T | typeof LATE | undefined> {
  const stop = new AbortController();
  const late = pause(ANSWER, AbortSignal.any([signal, stop.signal])).then((): typeof LATE => LATE);
  try {
    return await Promise.race([work, late]);
  } catch {
    return undefined;
  } finally {
    stop.abort();
  }
}
