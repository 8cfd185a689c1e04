/** Thresholds for continuous integration: is a candidate close enough to its original, and small enough? */
import { writeFileSync } from 'node:fs';
import { fileSizesOf } from '../convert/file-sizes.js';
import { staged } from '../convert/output.js';
import { fail } from '../diagnostics.js';
import { type Context, silentContext } from '../log.js';
import type { CandidateResult } from '../report/evaluate-types.js';
import { evaluate } from './evaluate.js';
import { checkOptions, type Input } from './options/check.js';
import type { TextInput, TextOptions } from './text-options.js';

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

/** What `verify` takes. */
export type VerifyInput = Input<Omit<VerifyOptions, 'text'>, 'window' | 'threads'> & {
  readonly text?: TextInput | undefined;
};

/** Measures what the thresholds ask for; the caller turns `passed` into an exit code. */
export async function verify(input: VerifyInput, context: Context = silentContext()): Promise<VerifyResult> {
  const options = checkOptions<VerifyOptions>('verify', input);
  const checks = [...(await qualityChecks(options, context)), ...sizeChecks(options)];
  const result = { passed: checks.every(({ passed }) => passed), checks };
  if (options.junit !== undefined)
    staged(options.junit, (path) => writeFileSync(path, junitOf(options.candidate, checks)));
  return result;
}

async function qualityChecks(options: VerifyOptions, context: Context): Promise<Check[]> {
  const { maxKl, maxNllIncrease, minTop1 } = options.thresholds;
  if (maxKl === undefined && maxNllIncrease === undefined && minTop1 === undefined) return [];
  if (options.text === undefined) fail('bad-usage', 'text', 'A threshold on quality needs text to measure it on');
  const { original, candidate, text, window, windows, threads } = options;
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
