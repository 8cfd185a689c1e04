/** Limits for continuous integration: are candidates close enough to their original, small enough and fast enough? */
import { writeFileSync } from 'node:fs';
import { basename } from 'node:path';
import { fixedShapeOf } from '../analysis/fixed-shape.js';
import { fail } from '../diagnostics.js';
import { staged, stagedFiles } from '../files/staging.js';
import { type Context, silentContext } from '../log.js';
import { requireSound } from '../onnx/convert/check-model.js';
import { importModel } from '../onnx/convert/import.js';
import { checkOptions } from '../options/index.js';
import { ortRuntime } from '../runtime/ort.js';
import { type AskedInputs, withResolved } from '../source/index.js';
import type { TextOptions } from '../text/index.js';
import { readWindows } from '../text/index.js';
import {
  type BudgetFile,
  type Check,
  checksOf,
  junitOf,
  LIMIT_NAMES,
  LIMITS,
  type LimitName,
  modelsOf,
  plotBeside,
  plotOf,
  readBudgets,
  sarifOf,
  summaryOf,
  type Wanted,
  wantedByBudgets,
  wantedByFlags,
} from './budget/index.js';
import { checkLevels, LEVEL_TOKENS } from './check-levels.js';
import { SELF_WINDOWS } from './evaluate-files.js';
import { evaluateTasks, type TaskScore, taskName } from './evaluate-tasks.js';
import type { EvalResult } from './evaluate-types.js';
import { findingOf, sameResult } from './same/index.js';
import { examine } from './verify-digests.js';
import { guardVerify } from './verify-outputs.js';
import { isOnText, scoresFor } from './verify-scores.js';
import type { VerifyInput, VerifyOptions, VerifyResult } from './verify-types.js';

/** Measures what the limits ask for and digests what is named; the caller turns `passed` into an exit code. */
export async function verify(input: VerifyInput, context: Context = silentContext()): Promise<VerifyResult> {
  const { text, ...asked } = checkOptions<VerifyOptions & AskedInputs>('verify', input);
  if (asked.original === undefined)
    return verifyFiles({ ...asked, ...(text && { text: text as TextOptions }) }, context);
  const windows = typeof asked.windows === 'number' ? asked.windows : SELF_WINDOWS;
  const need = { part: 'evaluation', window: asked.window, tokens: asked.window * windows } as const;
  return withResolved(asked.original, { ...asked, text }, need, context, ({ folder, text: files }) =>
    verifyFiles({ ...asked, original: folder.graph, ...(files && { text: files }) }, context),
  );
}

async function verifyFiles(options: VerifyOptions, context: Context): Promise<VerifyResult> {
  const { candidate, digests: named = [], sameAs } = options;
  requireWork(options);
  const budget = options.budget === undefined ? undefined : readBudgets(options.budget);
  requireMeasurable(options, budget);
  guardVerify(options);
  const findings = named.flatMap(examine);
  const same = sameAs && sameResult(candidate as string, sameAs);
  const measured =
    hasLimits(options) && candidate !== undefined ? await measure(options, candidate, budget, context) : undefined;
  const checks = measured?.checks ?? [];
  const holds = checks.every((check) => isHeld(check, options.unclear));
  const result: VerifyResult = {
    passed: holds && findings.every(({ problem }) => problem === undefined) && same?.passed !== false,
    checks,
    ...(same && { same }),
    ...(named.length > 0 && { digests: findings }),
    ...(options.budget !== undefined && { budget: options.budget }),
    ...(measured?.scores && {
      positions: measured.scores.reference.positions,
      windows: measured.scores.reference.windows.length,
    }),
  };
  publish(options, result);
  return result;
}

const hasLimits = ({ thresholds, budget }: VerifyOptions): boolean =>
  Object.keys(thresholds).length > 0 || budget !== undefined;

/** Something has to be asked, and whatever is measured or compared has to be named. */
function requireWork(options: VerifyOptions): void {
  const { candidate, digests = [], sameAs } = options;
  if (!hasLimits(options) && digests.length === 0 && sameAs === undefined)
    fail('bad-usage', 'thresholds', '`thresholds` takes at least one threshold');
  if (candidate !== undefined) return;
  if (hasLimits(options)) fail('bad-usage', 'candidate', 'A threshold needs a model to check');
  if (sameAs !== undefined) fail('bad-usage', 'candidate', '`sameAs` needs a set to compare');
}

/** Limits on quality need text and a model to compare with. */
function requireMeasurable({ thresholds, original, text }: VerifyOptions, budget: BudgetFile | undefined): void {
  const isAsked = (limits: Readonly<Partial<Record<LimitName, unknown>>>): boolean =>
    LIMIT_NAMES.some((name) => LIMITS[name].on === 'text' && limits[name] !== undefined);
  const isOnAnything = isAsked(thresholds) || (budget?.budgets.some(isAsked) ?? false);
  if (!isOnAnything) return;
  if (text === undefined) fail('bad-usage', 'text', 'A threshold on quality needs text to measure it on');
  if (original === undefined) fail('bad-usage', 'original', 'A threshold on quality needs a model to compare with');
}

function isHeld({ verdict, passed }: Check, unclear: VerifyOptions['unclear']): boolean {
  return verdict !== 'unclear' || unclear === 'value' ? passed : unclear === 'pass';
}

interface Found {
  readonly checks: readonly Check[];
  readonly scores: EvalResult | undefined;
}

async function measure(
  options: VerifyOptions,
  candidate: string,
  budget: BudgetFile | undefined,
  context: Context,
): Promise<Found> {
  const models = modelsOf(candidate);
  const wanted = [
    ...wantedByFlags(options.thresholds, models),
    ...(budget === undefined ? [] : wantedByBudgets(budget, models)),
  ];
  const paths = [...new Set(wanted.map(({ model }) => model.path))];
  for (const path of paths) requireSound(path);
  const scored = wanted.filter(isOnText);
  if (scored.length > 0) await requireLevels(options, scored, context);
  const scores = scored.length > 0 ? await scoresFor(scored, options, context) : undefined;
  return { scores, checks: checksOf(wanted, { scores, tasks: await tasksFor(wanted, options, context) }) };
}

async function tasksFor(
  wanted: readonly Wanted[],
  { original, text, ...options }: VerifyOptions,
  context: Context,
): Promise<readonly TaskScore[]> {
  const asked = wanted.filter(({ what }) => 'task' in what);
  if (asked.length === 0) return [];
  const { tasks = [], threads } = options;
  const names = tasks.map(taskName);
  const missing = asked.map(({ what }) => ('task' in what ? what.task : '')).find((task) => !names.includes(task));
  if (missing !== undefined) fail('bad-usage', 'tasks', `A budget has a limit on ${missing}, and no task is called so`);
  if (original === undefined) fail('bad-usage', 'verify', 'A threshold on quality needs a model to compare with');
  const tokenizer = options.tokenizer ?? (text !== undefined && 'tokenizer' in text ? text.tokenizer : undefined);
  if (tokenizer === undefined) fail('bad-usage', 'tokenizer', 'Questions need the tokenizer of the model');
  const candidates = [...new Set(asked.map(({ model }) => model.path))];
  return evaluateTasks({ reference: original, candidates, tasks, tokenizer, threads }, context);
}

/** Every candidate must compute the same with and without graph optimizations; a few tokens of the text show it. */
async function requireLevels(
  { original, text, window, threads }: VerifyOptions,
  wanted: readonly Wanted[],
  { log }: Context,
): Promise<void> {
  if (text === undefined || original === undefined) return;
  const exactly = fixedShapeOf(importModel(original)).length;
  const ids = readWindows(text, { window, limit: 1, exactly })[0]?.slice(0, exactly ?? LEVEL_TOKENS);
  if (ids === undefined) return;
  for (const path of new Set(wanted.map(({ model }) => model.path)))
    await checkLevels({ runtime: ortRuntime, path, name: basename(path), source: original, ids, threads, log });
}

/** Writes the files that were asked for. */
function publish({ junit, sarif, summary, candidate, digests: named = [] }: VerifyOptions, result: VerifyResult): void {
  const { checks, digests = [], same, budget } = result;
  const findings = [...digests, ...(same ? [findingOf(same)] : [])];
  const name = candidate ?? named.join(' ');
  if (junit !== undefined) staged(junit, (path) => writeFileSync(path, junitOf(name, checks, findings)));
  if (sarif !== undefined) staged(sarif, (path) => writeFileSync(path, sarifOf(checks, budget)));
  if (summary === undefined) return;
  const plot = plotBeside(summary);
  stagedFiles([plot, summary], ([picture, text]) => {
    writeFileSync(picture as string, plotOf(checks));
    writeFileSync(text as string, summaryOf(result, basename(plot)));
  });
}
