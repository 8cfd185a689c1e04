/** A worker: runs units of a plan until all are done, beside any number of others on the same plan. */
import { type Context, silentContext } from '../log.js';
import { checkOptions } from '../options/index.js';
import { pause } from '../pause.js';
import { partsOf } from './failures.js';
import { type OpenPlan, type UnitMachine, withPlan } from './open-plan.js';
import type { PlanUnit } from './plan-types.js';
import type { UnitResult } from './results.js';
import { isOfTheUnit, runOpened } from './run-unit.js';
import { shareOf, unitsToRun } from './share.js';
import { openStore } from './store/open-store.js';
import { isOpen, surveyOf, type UnitSurvey } from './survey.js';
import { endOf, sayDone, sayFailed, sayWaiting, type WorkResult } from './work-end.js';

export type { WorkResult } from './work-end.js';

/** What `work` takes. */
export interface WorkInput extends UnitMachine {
  /** Folder of the plan, or `s3://BUCKET/PREFIX`. */
  readonly plan: string;
  /**
   * Ids of units joined by commas, or `I/N`: every N-th unit of each kind, for array jobs. All by default. While its units wait for
   * others that nobody runs, a worker runs these too, so that it never waits for a job that has not been started.
   */
  readonly unit?: string | undefined;
  /**
   * URL of a Redis or PostgreSQL server that hands out units: needs BullMQ and the server's driver. Workers queue units themselves, and
   * results go to the plan as ever.
   */
  readonly queue?: string | undefined;
  /** Run one unit and return. */
  readonly once?: boolean | undefined;
  /** Try units of its share again that have failed three times. */
  readonly retry?: boolean | undefined;
  /** Seconds between two looks at the plan while there is nothing to run; 2 by default. */
  readonly pollSeconds?: number | undefined;
  /** Seconds without a sign of life after which the unit of another worker is taken over; 60 by default. */
  readonly leaseSeconds?: number | undefined;
}

/** Options of `work` with their defaults. */
export type WorkOptions = WorkInput & { readonly pollSeconds: number; readonly leaseSeconds: number };

/**
 * Runs units until those of its share are done, waiting for what others do. When `context.signal` is aborted, it finishes the unit that
 * it is at and returns. A unit that fails three times is left alone, with those that need it; when everything else is done, the error of
 * the first is thrown, with its code. Fails like opening the plan does, with `memory-bound` where no unit fits the memory, and at once
 * with what is no fault of a unit, such as `disk-full` and `input-changed`.
 */
export async function work(input: WorkInput, context: Context = silentContext()): Promise<WorkResult> {
  const options = checkOptions<WorkOptions>('work', input);
  const { queue } = options;
  if (queue !== undefined) {
    const { workFromQueue } = await import('./queue/queue-worker.js');
    return workFromQueue({ ...options, queue }, context);
  }
  const { plan, workDir, leaseSeconds, threads } = options;
  const store = await openStore(plan, { log: context.log, workDir, leaseSeconds, threads });
  try {
    return await withPlan(store, options, context, (opened) => new PlanWorker(opened, options, context).run());
  } finally {
    await store.close();
  }
}

class PlanWorker {
  readonly #opened: OpenPlan;
  readonly #options: WorkOptions;
  readonly #context: Context;
  readonly #units: readonly PlanUnit[];
  /** Ids of its share. */
  readonly #share: ReadonlySet<string>;
  readonly #ran: UnitResult[] = [];
  #hasSaid = false;

  constructor(opened: OpenPlan, options: WorkOptions, context: Context) {
    const { plan, address } = opened.store;
    this.#opened = opened;
    this.#options = options;
    this.#context = context;
    this.#units = unitsToRun(plan);
    this.#share = new Set(shareOf(this.#units, options.unit, address).map(({ id }) => id));
  }

  async run(): Promise<WorkResult> {
    const { signal } = this.#context;
    const { store } = this.#opened;
    if (this.#options.retry) await store.clearFailures([...this.#share]);
    for (let hasWaited = false as boolean; ; ) {
      const survey = surveyOf(this.#units, await store.look());
      const open = this.#openIn(survey);
      const isEnough = this.#options.once === true && this.#ran.length > 0;
      if (signal.aborted || isEnough || open.length === 0) return this.#finish(survey, isEnough);
      const hasRun =
        (await this.#runFirst(open)) || (hasWaited && (await this.#runFirst(this.#neededBy(open, survey))));
      if (!hasRun) this.#sayWaiting(survey);
      hasWaited = !hasRun;
      if (!hasRun) await pause(1000 * this.#options.pollSeconds, signal);
    }
  }

  /** Units of the share that are still to be run and fit the memory. */
  #openIn(survey: readonly UnitSurvey[]): readonly UnitSurvey[] {
    return survey.filter(({ unit, state }) => this.#share.has(unit.id) && isOpen(state) && this.#fits(unit));
  }

  /** Units of other shares that some units wait for, directly or not. */
  #neededBy(open: readonly UnitSurvey[], survey: readonly UnitSurvey[]): readonly UnitSurvey[] {
    const needed = new Set(open.flatMap(({ unit }) => unit.needs));
    for (const { unit } of survey.toReversed()) if (needed.has(unit.id)) for (const id of unit.needs) needed.add(id);
    return survey.filter(({ unit }) => needed.has(unit.id) && !this.#share.has(unit.id) && this.#fits(unit));
  }

  #fits({ memoryBytes }: PlanUnit): boolean {
    return memoryBytes <= this.#opened.machine.memoryBytes;
  }

  /** Runs the longest unit that is ready and that nobody has claimed; false where there is none. */
  async #runFirst(open: readonly UnitSurvey[]): Promise<boolean> {
    const ready = open
      .filter(({ state }) => state === 'ready')
      .toSorted((a, b) => a.failures.length - b.failures.length || b.unit.cost.seconds - a.unit.cost.seconds);
    for (const { unit } of ready) {
      const claim = await this.#opened.store.claim(unit.id);
      if (claim === undefined) continue;
      try {
        await this.#runOne(unit);
      } finally {
        await claim.release();
      }
      return true;
    }
    return false;
  }

  async #runOne(unit: PlanUnit): Promise<void> {
    const { store } = this.#opened;
    const { log, progress } = this.#context;
    // Another worker may have finished it between the look and the claim.
    const look = await store.look();
    if (look.result(unit.id) !== undefined) return;
    try {
      // An interrupt lets the unit end.
      const result = await runOpened(this.#opened, unit, { ...silentContext(), log, progress }, look);
      this.#ran.push(result);
      sayDone(result, log);
    } catch (error) {
      if (isWaitingForOthers(error)) return;
      if (!isOfTheUnit(error)) throw error;
      const times = await store.saveFailure(unit.id, error);
      sayFailed(unit.id, times, partsOf(error).message, log);
    }
  }

  /** Says once that it waits, and for whom. */
  #sayWaiting(survey: readonly UnitSurvey[]): void {
    if (!this.#hasSaid) sayWaiting(survey, this.#opened.machine.memoryBytes, this.#context.log);
    this.#hasSaid = true;
  }

  #finish(survey: readonly UnitSurvey[], isEnough: boolean): WorkResult {
    const { log, signal } = this.#context;
    const { memoryBytes } = this.#opened.machine;
    const own = { share: this.#share, ran: this.#ran, memoryBytes };
    return endOf({ survey, ...own, isEnough, interrupted: signal.aborted, log });
  }
}

/** The results that a unit needs were found damaged: it is open until they are made again. */
const isWaitingForOthers = (error: unknown): boolean => (error as { readonly code?: string }).code === 'plan-open';
