/** How far a plan is, for people and programs that watch it. Reads only. */
import { isAbandoned } from '../files/owner.js';
import { type Context, silentContext } from '../log.js';
import { checkOptions } from '../options/index.js';
import type { ClaimFacts } from './claim-text.js';
import type { UnitFailure } from './failures.js';
import type { UnitKind } from './plan-types.js';
import { openStore } from './store/open-store.js';
import type { PlanLook } from './store/plan-store.js';
import { surveyOf, type UnitSurvey } from './survey.js';

/** Numbers of units. `waiting` counts those that are ready and those that wait for others; `blocked` those that need one that failed. */
export interface UnitCounts {
  readonly total: number;
  readonly done: number;
  readonly running: number;
  readonly failed: number;
  readonly blocked: number;
  readonly waiting: number;
}

/** Units of one kind. */
export interface KindStatus extends UnitCounts {
  readonly kind: UnitKind;
  /** Wall time of units that are done. */
  readonly seconds: number;
  /** Memory that the largest unit needs at least, and the largest that was measured with activations; 0 where nothing was. */
  readonly memoryBytes: number;
  readonly peakMemoryBytes: number;
}

/** A unit that a worker has claimed. */
export interface RunningUnit {
  readonly unit: string;
  readonly worker: string;
  readonly threads: number;
}

/** A unit that has failed; `times` may be less than three while it is tried again. */
export interface FailedUnit extends UnitFailure {
  readonly unit: string;
  readonly times: number;
  /** Units that cannot be run because of it. */
  readonly blocks: readonly string[];
}

/** A unit that is not done although it was begun: each time its worker was killed, ran out of memory, or lost the folder. */
export interface LostUnit {
  readonly unit: string;
  readonly times: number;
}

/** How far a plan is. The unit `emit` is the set itself, which `mergePlan` writes; it is never done. */
export interface PlanStatus extends UnitCounts {
  readonly folder: string;
  readonly kinds: readonly KindStatus[];
  readonly runningUnits: readonly RunningUnit[];
  readonly failedUnits: readonly FailedUnit[];
  readonly lostUnits: readonly LostUnit[];
  /** Units that one worker does in an hour, by those that are done; undefined before the first. */
  readonly unitsPerHour: number | undefined;
  /** Estimated seconds until all units are done with the workers that are running, or with one. */
  readonly secondsLeft: number;
}

/** Looks at a plan. Fails with `plan` or `damaged-file` where there is none, and with `store` where an object store cannot be used. */
export async function planStatus(
  input: { readonly plan: string },
  { log }: Context = silentContext(),
): Promise<PlanStatus> {
  const { plan: folder } = checkOptions<{ readonly plan: string }>('status', input);
  const store = await openStore(folder, { log, readOnly: true });
  try {
    const look = await store.look();
    return statusOf(folder, surveyOf(store.plan.units, look), look);
  } finally {
    await store.close();
  }
}

function statusOf(folder: string, survey: readonly UnitSurvey[], look: PlanLook): PlanStatus {
  const claims = new Map(survey.flatMap((each) => runningOf(look, each)));
  const kinds = [...new Set(survey.map(({ unit }) => unit.kind))];
  const done = survey.flatMap(({ result }) => result ?? []);
  const seconds = done.reduce((sum, each) => sum + each.seconds, 0);
  return {
    folder,
    ...countsOf(survey, claims),
    kinds: kinds.map((kind) => kindStatus(kind, survey, claims)),
    runningUnits: [...claims].map(([unit, { worker, threads }]) => ({ unit, worker, threads })),
    failedUnits: survey.flatMap((each) => failedOf(each, survey)),
    lostUnits: survey.flatMap((each) => lostOf(look, each)),
    unitsPerHour: seconds > 0 ? (3600 * done.length) / seconds : undefined,
    secondsLeft: secondsLeft(survey, new Set([...claims.values()].map(({ worker }) => worker)).size),
  };
}

/** The claim of a unit that is not done; claims of ended processes of this machine count as none. */
function runningOf(look: PlanLook, { unit, state }: UnitSurvey): readonly (readonly [string, ClaimFacts])[] {
  if (state !== 'ready' && state !== 'waiting') return [];
  const claim = look.claim(unit.id);
  return claim === undefined || isAbandoned(claim.owner.split('.')[0] ?? '') ? [] : [[unit.id, claim]];
}

function countsOf(survey: readonly UnitSurvey[], claims: ReadonlyMap<string, unknown>): UnitCounts {
  const count = (holds: (each: UnitSurvey) => boolean): number => survey.filter(holds).length;
  const running = count(({ unit }) => claims.has(unit.id));
  return {
    total: survey.length,
    done: count(({ state }) => state === 'done'),
    running,
    failed: count(({ state }) => state === 'failed'),
    blocked: count(({ state }) => state === 'blocked'),
    waiting: count(({ state }) => state === 'ready' || state === 'waiting') - running,
  };
}

function kindStatus(kind: UnitKind, all: readonly UnitSurvey[], claims: ReadonlyMap<string, unknown>): KindStatus {
  const survey = all.filter(({ unit }) => unit.kind === kind);
  const done = survey.flatMap(({ result }) => result ?? []);
  return {
    kind,
    ...countsOf(survey, claims),
    seconds: done.reduce((sum, each) => sum + each.seconds, 0),
    memoryBytes: Math.max(...survey.map(({ unit }) => unit.memoryBytes)),
    peakMemoryBytes: Math.max(0, ...done.map((each) => each.peakMemoryBytes)),
  };
}

function lostOf(look: PlanLook, { unit, state }: UnitSurvey): readonly LostUnit[] {
  const times = state === 'done' ? 0 : look.losses(unit.id);
  return times === 0 ? [] : [{ unit: unit.id, times }];
}

function failedOf({ unit, failures }: UnitSurvey, survey: readonly UnitSurvey[]): readonly FailedUnit[] {
  const last = failures.at(-1);
  if (last === undefined) return [];
  const blocks = survey.filter(({ blockedBy }) => blockedBy === unit.id).map((each) => each.unit.id);
  return [{ unit: unit.id, ...last, times: failures.length, blocks }];
}

/** Guesses of the plan for what is left, corrected by what units of the same kind, or else all units, took beside their guesses. */
function secondsLeft(survey: readonly UnitSurvey[], workers: number): number {
  const factorOf = (units: readonly UnitSurvey[]): number | undefined => {
    const done = units.filter(({ result }) => result !== undefined);
    const guessed = done.reduce((sum, { unit }) => sum + unit.cost.seconds, 0);
    return guessed > 0 ? done.reduce((sum, { result }) => sum + (result?.seconds ?? 0), 0) / guessed : undefined;
  };
  const overall = factorOf(survey) ?? 1;
  const open = survey.filter(({ unit, state }) => unit.kind !== 'emit' && (state === 'ready' || state === 'waiting'));
  const work = open.reduce((sum, { unit }) => {
    const factor = factorOf(survey.filter((each) => each.unit.kind === unit.kind)) ?? overall;
    return sum + factor * unit.cost.seconds;
  }, 0);
  return work / Math.max(1, workers);
}
