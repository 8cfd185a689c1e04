/** Thresholds for continuous integration: is a candidate close enough to its original, and small enough? */
import { writeFileSync } from 'node:fs';
import { basename } from 'node:path';
import { fixedShapeOf } from '../analysis/fixed-shape.js';
import { fileSizesOf } from '../convert/file-sizes.js';
import { closeModel, importModel } from '../convert/import.js';
import { staged } from '../convert/output.js';
import { fail } from '../diagnostics.js';
import type { Context } from '../log.js';
import type { CandidateResult } from '../report/evaluate-types.js';
import { ortRuntime } from '../runtime/ort.js';
import { evaluate } from './evaluate.js';
import { checkLevels, LEVEL_TOKENS } from './set/check-levels.js';
import type { TextOptions } from './text-options.js';
import { readWindows } from './windows.js';

export interface Thresholds {
  /** Nats per position. */
  readonly maxKl?: number;
  /** Nats per token that the candidate may be worse. */
  readonly maxNllIncrease?: number;
  /** Share of equal likeliest tokens, 0 to 1. */
  readonly minTop1?: number;
  /** Bytes of all files of the candidate. */
  readonly maxSize?: number;
}

export interface VerifyOptions {
  readonly original: string;
  readonly candidate: string;
  readonly thresholds: Thresholds;
  readonly text?: TextOptions;
  readonly window: number;
  readonly windows?: number;
  readonly threads: number;
  /** A JUnit file to write. */
  readonly junit?: string;
}

/** One threshold and what was measured against it. */
export interface Check {
  readonly name: string;
  readonly value: number;
  readonly limit: number;
  readonly passed: boolean;
}

export interface VerifyResult {
  readonly passed: boolean;
  readonly checks: readonly Check[];
}

/** Measures what the thresholds ask for; the caller turns `passed` into an exit code. */
export async function verify(options: VerifyOptions, context: Context): Promise<VerifyResult> {
  const { thresholds } = options;
  if (Object.keys(thresholds).length === 0) fail('bad-usage', 'verify', 'There is no threshold to check');
  const checks = [...(await qualityChecks(options, context)), ...sizeChecks(options)];
  const result = { passed: checks.every(({ passed }) => passed), checks };
  if (options.junit !== undefined)
    staged(options.junit, (path) => writeFileSync(path, junitOf(options.candidate, checks)));
  return result;
}

async function qualityChecks(options: VerifyOptions, context: Context): Promise<Check[]> {
  const { maxKl, maxNllIncrease, minTop1 } = options.thresholds;
  if (maxKl === undefined && maxNllIncrease === undefined && minTop1 === undefined) return [];
  if (options.text === undefined) fail('bad-usage', '--text', 'A threshold on quality needs text to measure it on');
  const { original, candidate, text, window, windows, threads } = options;
  await requireLevels(options, text, context);
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
  { original, candidate, window, threads }: VerifyOptions,
  text: TextOptions,
  { log }: Context,
): Promise<void> {
  const model = importModel(original);
  const exactly = fixedShapeOf(model).length;
  closeModel(model);
  const ids = readWindows(text, { window, limit: 1, exactly })[0]?.slice(0, exactly ?? LEVEL_TOKENS);
  if (ids === undefined) return;
  const name = basename(candidate);
  await checkLevels({ runtime: ortRuntime, path: candidate, name, source: original, ids, threads, log });
}

const sizeChecks = ({ candidate, thresholds }: VerifyOptions): Check[] =>
  thresholds.maxSize === undefined ? [] : atMost('size', fileSizesOf(candidate).fileBytes, thresholds.maxSize);

const atMost = (name: string, value: number, limit: number | undefined): Check[] =>
  limit === undefined ? [] : [{ name, value, limit, passed: value <= limit }];

/** The checks as a JUnit suite, one test case each. */
function junitOf(candidate: string, checks: readonly Check[]): string {
  const escaped = (text: string): string =>
    text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('"', '&quot;');
  const cases = checks.map(({ name, value, limit, passed }) => {
    const failure = passed ? '' : `<failure message="${name} is ${value}, the limit is ${limit}"/>`;
    return `  <testcase classname="matquant.verify" name="${name}">${failure}</testcase>`;
  });
  const failures = checks.filter(({ passed }) => !passed).length;
  const open = `<testsuite name="${escaped(candidate)}" tests="${checks.length}" failures="${failures}">`;
  return ['<?xml version="1.0" encoding="UTF-8"?>', open, ...cases, '</testsuite>', ''].join('\n');
}
