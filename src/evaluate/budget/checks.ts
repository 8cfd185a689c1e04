/** From limits to checks: what is asked of each model, and what was found. */

import type { TaskScore } from '../evaluate-tasks.js';
import type { CandidateResult, EvalResult } from '../evaluate-types.js';
import { type Interval, LEVEL, shareInterval } from '../intervals.js';
import { judge, type Side, type Verdict } from '../verdict.js';
import type { BudgetFile } from './budget-file.js';
import { LIMIT_NAMES, LIMITS, type LimitName, type Measured } from './limits.js';
import { modelNamed, type NamedModel } from './models.js';

/** One limit and what was measured against it. */
export interface Check {
  /** The model by the name that budgets call it. */
  readonly model: string;
  /** `kl`, `nll-increase`, `top1`, `bytes`, `size`, `stored-bits`, `speed`, `load-memory` or `accuracy TASK`. */
  readonly name: string;
  readonly value: number;
  /** The limit with its tolerance. */
  readonly limit: number;
  /** Whether the limit is the most or the least that the value may be. */
  readonly side: Side;
  /** Whether the measured value is within the limit. */
  readonly passed: boolean;
  /** The same, judged by the 95 % interval. */
  readonly verdict: Verdict;
  /** Over windows. */
  readonly standardError?: number;
  readonly interval?: Interval;
  /** Share of the limit that was added. */
  readonly tolerance?: number;
  /** Why the limit is what it is. */
  readonly reason?: string;
  /** Where the limit is written. */
  readonly line?: number;
}

/** A limit that is asked of a model. */
export interface Wanted {
  readonly model: NamedModel;
  readonly limit: number;
  readonly tolerance: number;
  readonly what: { readonly name: LimitName } | { readonly task: string };
  readonly reason?: string | undefined;
  readonly line?: number | undefined;
}

/** The limits of flags, asked of every model. */
export function wantedByFlags(
  limits: Readonly<Partial<Record<LimitName, number>>>,
  models: readonly NamedModel[],
): readonly Wanted[] {
  const named = LIMIT_NAMES.flatMap((name) => (limits[name] === undefined ? [] : [{ name, limit: limits[name] }]));
  return models.flatMap((model) => named.map(({ name, limit }) => ({ model, limit, tolerance: 0, what: { name } })));
}

/** The limits of a budget file. Fails with `bad-usage` for a budget of a model that is not there. */
export function wantedByBudgets(
  { path, budgets, lines }: BudgetFile,
  models: readonly NamedModel[],
): readonly Wanted[] {
  return budgets.flatMap((budget, at): Wanted[] => {
    const place = `budgets[${at}]`;
    const { tolerance, reason } = budget;
    const model = modelNamed(models, budget.model, `${path}:${lines.get(`${place}.model`) ?? 1}`);
    const shared = { model, tolerance, reason };
    const named = LIMIT_NAMES.flatMap((name): Wanted[] => {
      const limit = name === 'maxSize' ? undefined : budget[name];
      return limit === undefined ? [] : [{ ...shared, limit, what: { name }, line: lines.get(`${place}.${name}`) }];
    });
    const tasks = Object.entries(budget.minAccuracy ?? {}).map(([task, limit]): Wanted => {
      return { ...shared, limit, what: { task }, line: lines.get(`${place}.minAccuracy.${task}`) };
    });
    return [...named, ...tasks];
  });
}

/** What a check is made from. */
export interface Found {
  readonly scores?: EvalResult | undefined;
  readonly tasks?: readonly TaskScore[] | undefined;
}

/** Every limit with what was found. */
export function checksOf(wanted: readonly Wanted[], found: Found): readonly Check[] {
  return wanted.map((each) => checked(each, measuredFor(each, found)));
}

/** Whether scores so far decide every limit on them; `level` is the confidence that is asked for. */
export function isDecided(
  wanted: readonly Wanted[],
  candidate: CandidateResult,
  reference: EvalResult['reference'],
  level: number,
): boolean {
  return wanted.every((each) => {
    if (!('name' in each.what) || each.model.path !== candidate.path) return true;
    const limit = LIMITS[each.what.name];
    // Figures without an interval are never unclear.
    return limit.on === 'files' || checked(each, limit.measure(candidate, reference, level)).verdict !== 'unclear';
  });
}

function measuredFor({ what, model }: Wanted, { scores, tasks }: Found): Measured {
  if ('task' in what) {
    const score = tasks?.find(({ task, path }) => task === what.task && path === model.path);
    if (score === undefined) throw new Error(`${what.task} was not answered by ${model.path}`);
    const { accuracy, accuracyStandardError, items } = score;
    return { value: accuracy, standardError: accuracyStandardError, interval: shareInterval(accuracy, items) };
  }
  const limit = LIMITS[what.name];
  if (limit.on === 'files') return limit.measure(model.path);
  const candidate = scores?.candidates.find(({ path }) => path === model.path);
  if (scores === undefined || candidate === undefined) throw new Error(`${model.path} was not scored`);
  return limit.measure(candidate, scores.reference, LEVEL);
}

function checked({ model, what, limit: asked, tolerance, reason, line }: Wanted, measured: Measured): Check {
  const { check, side } =
    'task' in what ? { check: `accuracy ${what.task}`, side: 'least' as const } : LIMITS[what.name];
  const limit = side === 'most' ? asked * (1 + tolerance) : asked * (1 - tolerance);
  const { value, standardError, interval } = measured;
  return {
    model: model.name,
    name: check,
    value,
    limit,
    side,
    ...judge(value, limit, side, interval),
    ...(standardError !== undefined && { standardError }),
    ...(interval !== undefined && interval !== 'unknown' && { interval }),
    ...(tolerance > 0 && { tolerance }),
    ...(reason !== undefined && { reason }),
    ...(line !== undefined && { line }),
  };
}
