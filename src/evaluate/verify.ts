/** Thresholds for continuous integration: is a candidate close enough to its original, and small enough? */
import { writeFileSync } from 'node:fs';
import { basename, dirname } from 'node:path';
import { fixedShapeOf } from '../analysis/fixed-shape.js';
import { fail } from '../diagnostics.js';
import { staged } from '../files/staging.js';
import { type Context, silentContext } from '../log.js';
import { requireSound } from '../onnx/convert/check-model.js';
import { fileSizesOf } from '../onnx/convert/file-sizes.js';
import { importModel } from '../onnx/convert/import.js';
import { checkOptions, type Input } from '../options/index.js';
import { guardOutputs } from '../outputs/index.js';
import { ortRuntime } from '../runtime/ort.js';
import { type AskedInputs, withResolved } from '../source/index.js';
import { readWindows, type TextInput, type TextOptions, textFiles } from '../text/index.js';
import { checkLevels, LEVEL_TOKENS } from './check-levels.js';
import { evaluate } from './evaluate-files.js';
import type { CandidateResult } from './evaluate-types.js';
import { examine, type Finding } from './verify-digests.js';

/** Limits that `verify` checks; at least one, or `digests`. */
export interface Thresholds {
  /** Most KL to the original, nats per position. */
  readonly maxKl?: number;
  /** Most increase of negative log-likelihood, nats per token. */
  readonly maxNllIncrease?: number;
  /** Least share of positions with the same most likely token, 0 to 1. */
  readonly minTop1?: number;
  /** Most bytes of all files of the candidate. */
  readonly maxSize?: number;
}

/** The options of `verify` with all defaults filled in; `VerifyInput` is what a caller passes. */
export interface VerifyOptions {
  /** The model to compare with; needed by thresholds on quality. */
  readonly original?: string;
  /** The model to check; needed by every threshold. */
  readonly candidate?: string;
  /** Limits to check. */
  readonly thresholds: Thresholds;
  /** Sets (.json or folder) and models (.onnx) whose files are checked against all their digests. */
  readonly digests?: readonly string[];
  /** Text to measure on; needed by thresholds on quality. */
  readonly text?: TextOptions;
  /** Tokens in a window. */
  readonly window: number;
  /** Most windows to score; all of the text by default. */
  readonly windows?: number;
  /** Worker threads. */
  readonly threads: number;
  /** A JUnit file to write. */
  readonly junit?: string;
  /** Replace files of the same names that this tool did not write. Inputs are never replaced. */
  readonly overwrite?: boolean;
}

/** One threshold and the measured value. */
export interface Check {
  readonly name: string;
  readonly value: number;
  readonly limit: number;
  readonly passed: boolean;
}

/** What was checked, and whether all of it holds. */
export interface VerifyResult {
  readonly passed: boolean;
  readonly checks: readonly Check[];
  /** What was digested; absent unless asked for. */
  readonly digests?: readonly Finding[];
}

/** Options with thresholds. */
type Measured = VerifyOptions & { readonly candidate: string };

/** What `verify` takes. */
export type VerifyInput = Input<Omit<VerifyOptions, 'text'>, 'window' | 'threads' | 'thresholds'> &
  Pick<AskedInputs, 'file' | 'hub'> & { readonly text?: TextInput | undefined };

/**
 * Measures what the thresholds need and checks the digests that are asked for. The result says whether all of it holds; a
 * missed threshold is not an error.
 */
export async function verify(input: VerifyInput, context: Context = silentContext()): Promise<VerifyResult> {
  const { text, ...asked } = checkOptions<VerifyOptions & AskedInputs>('verify', input);
  if (asked.original === undefined)
    return verifyFiles({ ...asked, ...(text && { text: text as TextOptions }) }, context);
  const need = { part: 'evaluation', window: asked.window, tokens: asked.window * (asked.windows ?? 16) } as const;
  return withResolved(asked.original, { ...asked, text }, need, context, ({ folder, text: files }) =>
    verifyFiles({ ...asked, original: folder.graph, ...(files && { text: files }) }, context),
  );
}

async function verifyFiles(options: VerifyOptions, context: Context): Promise<VerifyResult> {
  const { thresholds, candidate, digests: named = [], junit } = options;
  const hasThresholds = Object.keys(thresholds).length > 0;
  if (!hasThresholds && named.length === 0)
    fail('bad-usage', 'thresholds', '`thresholds` takes at least one threshold');
  if (hasThresholds && candidate === undefined) fail('bad-usage', 'candidate', 'A threshold needs a model to check');
  requireMeasurable(options);
  guardJunit(options);
  const findings = named.flatMap(examine);
  const checks = hasThresholds && candidate !== undefined ? await checksOf({ ...options, candidate }, context) : [];
  const passed = checks.every((check) => check.passed) && findings.every(({ problem }) => problem === undefined);
  const name = candidate ?? named.join(' ');
  if (junit !== undefined) staged(junit, (path) => writeFileSync(path, junitOf(name, checks, findings)));
  return { passed, checks, ...(named.length > 0 && { digests: findings }) };
}

/** The JUnit file is no model, text or set that is read. */
function guardJunit({ junit, original, candidate, text, digests = [], overwrite }: VerifyOptions): void {
  if (junit === undefined) return;
  const models = [original, candidate, ...digests].filter((path) => path !== undefined);
  const folders = digests
    .filter((path) => !/\.onnx$/i.test(path))
    .map((path) => (path.endsWith('.json') ? dirname(path) : path));
  const inputs = [...textFiles(text), ...models];
  const files = [{ path: junit, kind: 'junit' } as const];
  guardOutputs({
    models: models.filter((path) => /\.onnx$/i.test(path)),
    inputs,
    inputFolders: folders,
    files,
    overwrite,
  });
}

const asksQuality = ({ thresholds: { maxKl, maxNllIncrease, minTop1 } }: VerifyOptions): boolean =>
  [maxKl, maxNllIncrease, minTop1].some((limit) => limit !== undefined);

/** A threshold on quality needs text and a model to compare with. */
function requireMeasurable(options: VerifyOptions): void {
  if (!asksQuality(options)) return;
  if (options.text === undefined) fail('bad-usage', 'text', 'A threshold on quality needs text to measure it on');
  if (options.original === undefined)
    fail('bad-usage', 'original', 'A threshold on quality needs a model to compare with');
}

async function checksOf(options: Measured, context: Context): Promise<readonly Check[]> {
  requireSound(options.candidate);
  return [...(await qualityChecks(options, context)), ...sizeChecks(options)];
}

async function qualityChecks(options: Measured, context: Context): Promise<Check[]> {
  const { maxKl, maxNllIncrease, minTop1 } = options.thresholds;
  const { original, candidate, text, window, windows, threads } = options;
  if (!asksQuality(options) || text === undefined || original === undefined) return [];
  await requireLevels({ ...options, original }, text, context);
  const limits = { ...(windows !== undefined && { windows }) };
  const result = await evaluate(
    { reference: original, candidates: [candidate], text, window, threads, speed: false, ...limits },
    context,
  );
  const score = result.candidates[0] as CandidateResult;
  return [
    ...atMost('kl', score.kl, maxKl),
    ...atMost('nll-increase', score.deltaNll, maxNllIncrease),
    ...(minTop1 === undefined
      ? []
      : [{ name: 'top1', value: score.top1, limit: minTop1, passed: score.top1 >= minTop1 }]),
  ];
}

/** The candidate must compute the same with and without graph optimizations; a few tokens of the text show it. */
async function requireLevels(
  { original, candidate, window, threads }: Measured & { readonly original: string },
  text: TextOptions,
  { log }: Context,
): Promise<void> {
  const model = importModel(original);
  const exactly = fixedShapeOf(model).length;
  const ids = readWindows(text, { window, limit: 1, exactly })[0]?.slice(0, exactly ?? LEVEL_TOKENS);
  if (ids === undefined) return;
  const name = basename(candidate);
  await checkLevels({ runtime: ortRuntime, path: candidate, name, source: original, ids, threads, log });
}

const sizeChecks = ({ candidate, thresholds }: Measured): Check[] =>
  thresholds.maxSize === undefined ? [] : atMost('size', fileSizesOf(candidate).fileBytes, thresholds.maxSize);

const atMost = (name: string, value: number, limit: number | undefined): Check[] =>
  limit === undefined ? [] : [{ name, value, limit, passed: value <= limit }];

/** The checks as a JUnit suite, one test case each. */
function junitOf(candidate: string, checks: readonly Check[], findings: readonly Finding[]): string {
  const escaped = (text: string): string =>
    text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('"', '&quot;');
  const cases = checks.map(({ name, value, limit, passed }) => {
    const failure = passed ? '' : `<failure message="${name} is ${value}, the limit is ${limit}"/>`;
    return `  <testcase classname="matquant.verify" name="${name}">${failure}</testcase>`;
  });
  const digests = findings.map(({ at, part, problem }) => {
    const failure = problem === undefined ? '' : `<failure message="${escaped(`The ${part} ${problem}`)}"/>`;
    return `  <testcase classname="matquant.verify" name="${escaped(`${at}: ${part}`)}">${failure}</testcase>`;
  });
  const missed = checks.filter(({ passed }) => !passed).length;
  const failures = missed + findings.filter(({ problem }) => problem !== undefined).length;
  const tests = checks.length + findings.length;
  const open = `<testsuite name="${escaped(candidate)}" tests="${tests}" failures="${failures}">`;
  return ['<?xml version="1.0" encoding="UTF-8"?>', open, ...cases, ...digests, '</testsuite>', ''].join('\n');
}
