/** What a worker reports: units that it has run, whom it waits for, and the result when it has no more to do. */
import { counted, wholeMegabytes } from '../format.js';
import type { Log } from '../log.js';
import { errorOf, MOST_FAILURES } from './failures.js';
import type { PlanUnit } from './plan-types.js';
import type { UnitResult } from './results.js';
import { requireFits } from './run-unit.js';
import { isOpen, type UnitSurvey } from './survey.js';

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

/** What is known at the end. */
export interface WorkEnd {
  readonly survey: readonly UnitSurvey[];
  /** Ids of the worker's share. */
  readonly share: ReadonlySet<string>;
  readonly ran: readonly UnitResult[];
  readonly memoryBytes: number;
  /** Has run as many units as it was asked for. */
  readonly isEnough: boolean;
  /** Was told to stop. */
  readonly interrupted: boolean;
  readonly log: Log;
}

/** What a worker did. Throws the error of the first unit that failed, and `memory-bound` where no unit fits, unless it was stopped. */
export function endOf(end: WorkEnd): WorkResult {
  const { survey, share, ran, memoryBytes, isEnough, interrupted } = end;
  const own = survey.filter(({ unit }) => share.has(unit.id));
  const left = own.filter(({ unit, state }) => isOpen(state) && unit.memoryBytes > memoryBytes).map(({ unit }) => unit);
  if (!isEnough && !interrupted) {
    reportFailures(survey, share);
    if (left.length > 0) sayLeft(left, end);
  }
  const done = own.filter(({ state }) => state === 'done').length;
  return { ran, done, units: own.length, left: left.map(({ id }) => id), interrupted };
}

/** Reports a unit that a worker has run. */
export const sayDone = ({ unit, seconds, peakMemoryBytes }: UnitResult, log: Log): void =>
  log.info(`${unit}: ${seconds.toFixed(1)} s, ${Math.ceil(peakMemoryBytes / 1e6)} MB.`);

/** Reports a unit that has failed, and how often. */
export const sayFailed = (unit: string, times: number, message: string, log: Log): void =>
  log.warn(`${unit} has failed ${times} of ${MOST_FAILURES} times: ${message}`);

/** Says whom a worker waits for: where a unit takes more memory than it has, that may be for ever. */
export function sayWaiting(survey: readonly UnitSurvey[], memoryBytes: number, log: Log): void {
  const large = survey.find(({ unit, state }) => isOpen(state) && unit.memoryBytes > memoryBytes)?.unit;
  if (large === undefined) log.info('Waiting for units of other workers.');
  else log.warn(`Waiting for a worker with more memory: ${large.id} needs ${wholeMegabytes(large.memoryBytes)}.`);
}

/** A worker that could do nothing at all is of no use; one that did what it could leaves the rest to others. */
function sayLeft(left: readonly PlanUnit[], { ran, memoryBytes, log }: WorkEnd): void {
  const largest = left.toSorted((a, b) => b.memoryBytes - a.memoryBytes)[0] as PlanUnit;
  if (ran.length === 0) requireFits(largest, memoryBytes);
  log.warn(
    `Left to workers with more memory: ${counted(left.length, 'unit')}, of which ${largest.id} needs ${wholeMegabytes(largest.memoryBytes)}.`,
  );
}

/** Throws the error of the first unit that failed, with what waits for it. */
function reportFailures(survey: readonly UnitSurvey[], share: ReadonlySet<string>): void {
  const stopped = survey
    .filter(({ unit }) => share.has(unit.id))
    .filter(({ state }) => state === 'failed' || state === 'blocked');
  const [first] = stopped;
  if (first === undefined) return;
  const failed = survey.filter(({ state }) => state === 'failed');
  const named = first.blockedBy === undefined ? first : failed.find(({ unit }) => unit.id === first.blockedBy);
  const failure = named?.failures.at(-1);
  if (named === undefined || failure === undefined) return;
  const blocked = survey.filter(({ state }) => state === 'blocked').length;
  const rest = `${counted(failed.length, 'unit')} failed, ${counted(blocked, 'unit')} blocked`;
  throw errorOf({ ...failure, message: `${failure.message} (${rest})` }, named.unit.id);
}
