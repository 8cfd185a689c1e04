/** A worker: runs units of a plan until all are done, beside any number of others on the same folder. */
import { type Context, silentContext } from '../log.js';
import { checkOptions } from '../options/index.js';
import { Claims, workerName } from './claims.js';
import { clearFailures, errorOf, MOST_FAILURES, saveFailure } from './failures.js';
import { type OpenPlan, type UnitMachine, withPlan, workFolderOf } from './open-plan.js';
import type { PlanUnit } from './plan-types.js';
import { Results, type UnitResult } from './results.js';
import { isOfTheUnit, requireFits, runOpened } from './run-unit.js';
import { shareOf } from './share.js';
import { type Surveyed, surveyOf } from './survey.js';

/** What `work` takes. */
export interface WorkInput extends UnitMachine {
  /** Folder of the plan. */
  readonly plan: string;
  /** Id of one unit, or `I/N`: every N-th unit of each kind, for array jobs. All by default. */
  readonly unit?: string | undefined;
  /** Run one unit and return. */
  readonly once?: boolean | undefined;
  /** Try units again that have failed three times. */
  readonly retry?: boolean | undefined;
  /** Seconds between two looks at the plan while there is nothing to run; 2 by default. */
  readonly pollSeconds?: number | undefined;
  /** Seconds without a sign of life after which the unit of another worker is taken over; 60 by default. */
  readonly leaseSeconds?: number | undefined;
}

/** What a worker did. */
export interface WorkResult {
  /** Units that it ran. */
  readonly ran: readonly UnitResult[];
  /** Units of its share that are done by now, by whomever, and all of its share. */
  readonly done: number;
  readonly units: number;
  /** Units that take more memory than it has, which it left to others. */
  readonly left: readonly string[];
  /** True when it was told to stop and finished the unit that it was at. */
  readonly interrupted: boolean;
}

/** Options of `work` with their defaults. */
type WorkOptions = WorkInput & { readonly pollSeconds: number; readonly leaseSeconds: number };

/**
 * Runs units until those of its share are done, waiting for what others do. When `context.signal` is aborted, it finishes the unit that
 * it is at and returns. A unit that fails three times is left alone, with those that need it; when everything else is done, the error of
 * the first is thrown, with its code. Fails like opening the plan does, with `memory-bound` where no unit fits the memory, and at once
 * with what is no fault of a unit, such as `disk-full` and `input-changed`.
 */
export async function work(input: WorkInput, context: Context = silentContext()): Promise<WorkResult> {
  const options = checkOptions<WorkOptions>('work', input);
  if (options.retry) clearFailures(options.plan);
  return withPlan(options.plan, options, context, async (opened) => {
    const worker = new PlanWorker(opened, options, context);
    try {
      return await worker.run();
    } finally {
      worker.close();
    }
  });
}

class PlanWorker {
  readonly #opened: OpenPlan;
  readonly #options: WorkOptions;
  readonly #context: Context;
  readonly #results: Results;
  readonly #claims: Claims;
  readonly #units: readonly PlanUnit[];
  /** Ids of its share. */
  readonly #share: ReadonlySet<string>;
  readonly #ran: UnitResult[] = [];

  constructor(opened: OpenPlan, options: WorkOptions, context: Context) {
    const { folder, plan, machine } = opened;
    this.#opened = opened;
    this.#options = options;
    this.#context = context;
    this.#results = new Results(folder, workFolderOf(folder, plan), context.log);
    this.#claims = new Claims(folder, { leaseSeconds: options.leaseSeconds, threads: machine.threads }, context.log);
    this.#units = plan.units.filter(({ kind }) => kind !== 'emit');
    this.#share = new Set(shareOf(this.#units, options.unit, folder).map(({ id }) => id));
  }

  async run(): Promise<WorkResult> {
    const { signal } = this.#context;
    for (;;) {
      const survey = surveyOf(this.#opened.folder, this.#units, this.#results);
      const open = this.#openIn(survey);
      const isEnough = this.#options.once === true && this.#ran.length > 0;
      if (signal.aborted || isEnough || open.length === 0) return this.#finish(survey);
      const hasRun = await this.#runFirst(open);
      if (!hasRun) await pause(1000 * this.#options.pollSeconds, signal);
    }
  }

  close(): void {
    this.#claims.close();
  }

  /** Units of the share that are still to be run and fit the memory. */
  #openIn(survey: readonly Surveyed[]): readonly Surveyed[] {
    return survey.filter(
      ({ unit, standing }) =>
        this.#share.has(unit.id) && (standing === 'ready' || standing === 'waiting') && this.#fits(unit),
    );
  }

  #fits({ memoryBytes }: PlanUnit): boolean {
    return memoryBytes <= this.#opened.machine.memoryBytes;
  }

  /** Runs the longest unit that is ready and that nobody has claimed; false where there is none. */
  async #runFirst(open: readonly Surveyed[]): Promise<boolean> {
    const ready = open
      .filter(({ standing }) => standing === 'ready')
      .toSorted((a, b) => a.failures.length - b.failures.length || b.unit.cost.seconds - a.unit.cost.seconds);
    for (const { unit } of ready) {
      const claim = this.#claims.take(unit.id);
      if (claim === undefined) continue;
      try {
        await this.#runOne(unit);
      } finally {
        claim.release();
      }
      return true;
    }
    return false;
  }

  async #runOne(unit: PlanUnit): Promise<void> {
    const { folder } = this.#opened;
    const { log, progress } = this.#context;
    // Another worker may have finished it between the look and the claim.
    if (this.#results.find(unit.id) !== undefined) return;
    try {
      // An interrupt lets the unit end.
      const result = await runOpened(this.#opened, this.#results, unit, { ...silentContext(), log, progress });
      this.#ran.push(result);
      log.info(`${unit.id}: ${result.seconds.toFixed(1)} s, ${Math.ceil(result.peakMemoryBytes / 1e6)} MB.`);
    } catch (error) {
      if (isWaitingForOthers(error)) return;
      if (!isOfTheUnit(error)) throw error;
      const times = saveFailure(folder, unit.id, error, workerName());
      const message = error instanceof Error ? error.message : String(error);
      log.warn(`${unit.id} has failed ${times} of ${MOST_FAILURES} times: ${message}`);
    }
  }

  #finish(survey: readonly Surveyed[]): WorkResult {
    const own = survey.filter(({ unit }) => this.#share.has(unit.id));
    const interrupted = this.#context.signal.aborted;
    const isEnough = this.#options.once === true && this.#ran.length > 0;
    const left = own.filter(({ unit, standing }) => isOpen(standing) && !this.#fits(unit)).map(({ unit }) => unit);
    if (!interrupted && !isEnough) {
      reportFailures(survey, this.#share);
      if (left.length > 0) this.#sayLeft(left);
    }
    const done = own.filter(({ standing }) => standing === 'done').length;
    return { ran: this.#ran, done, units: own.length, left: left.map(({ id }) => id), interrupted };
  }

  /** A worker that could do nothing at all is of no use; one that did what it could leaves the rest to others. */
  #sayLeft(left: readonly PlanUnit[]): void {
    const largest = left.toSorted((a, b) => b.memoryBytes - a.memoryBytes)[0] as PlanUnit;
    if (this.#ran.length === 0) requireFits(largest, this.#opened.machine.memoryBytes);
    this.#context.log.warn(
      `${left.length} units are left to workers with more memory: ${largest.id} needs ${Math.ceil(largest.memoryBytes / 1e6)}MB.`,
    );
  }
}

const isOpen = (standing: Surveyed['standing']): boolean => standing === 'ready' || standing === 'waiting';

/** The results that a unit needs were found damaged: it is open until they are made again. */
const isWaitingForOthers = (error: unknown): boolean => (error as { readonly code?: string }).code === 'plan-open';

/** Throws the error of the first unit that failed, with what waits for it. */
function reportFailures(survey: readonly Surveyed[], share: ReadonlySet<string>): void {
  const stopped = survey
    .filter(({ unit }) => share.has(unit.id))
    .filter(({ standing }) => standing === 'failed' || standing === 'blocked');
  const [first] = stopped;
  if (first === undefined) return;
  const failed = survey.filter(({ standing }) => standing === 'failed');
  const named = first.blockedBy === undefined ? first : failed.find(({ unit }) => unit.id === first.blockedBy);
  const failure = named?.failures.at(-1);
  if (named === undefined || failure === undefined) return;
  const blocked = survey.filter(({ standing }) => standing === 'blocked').length;
  const rest = `${failed.length} ${failed.length === 1 ? 'unit has' : 'units have'} failed and ${blocked} wait for them`;
  throw errorOf({ ...failure, message: `${failure.message} (${rest})` }, named.unit.id);
}

/** Waits, but not when there is something else to do. */
function pause(milliseconds: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const done = (): void => {
      clearTimeout(timer);
      signal.removeEventListener('abort', done);
      resolve();
    };
    const timer = setTimeout(done, milliseconds);
    signal.addEventListener('abort', done, { once: true });
  });
}
