/** Units that failed: `PLAN/failed/ID.json` has one entry for each time. */
import { rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { z } from 'zod';
import { CompilerError, ERRORS, type ErrorCode } from '../diagnostics.js';
import { sealedJson } from '../files/seal.js';
import { readSealed } from '../files/sealed-json.js';
import { staged } from '../files/staging.js';

/** One time that a unit failed. */
export interface UnitFailure {
  /** A code of `ERRORS`, or `bug`. */
  readonly code: string;
  readonly at: string;
  readonly message: string;
  readonly worker: string;
}

/** An error as it is written to a file or sent to another process. */
export type ErrorParts = Omit<UnitFailure, 'worker'>;

/** After so many times a unit is left alone. */
export const MOST_FAILURES = 3;

/** One time, as it is written. */
export const failureSchema: z.ZodType<UnitFailure> = z.strictObject({
  code: z.string(),
  at: z.string(),
  message: z.string(),
  worker: z.string(),
});

const schema = z.strictObject({ unit: z.string(), failures: z.array(failureSchema) });

const pathOf = (plan: string, unit: string): string => join(plan, 'failed', `${unit}.json`);

/** How a unit failed so far; a damaged record counts as none. */
export function failuresOf(plan: string, unit: string): readonly UnitFailure[] {
  try {
    return schema.parse(readSealed(pathOf(plan, unit))).failures;
  } catch {
    return [];
  }
}

/** Writes down that a unit failed; returns how often it has. */
export function saveFailure(plan: string, unit: string, error: unknown, worker: string): number {
  const failures = [...failuresOf(plan, unit), { ...partsOf(error), worker }];
  staged(pathOf(plan, unit), (path) => writeFileSync(path, sealedJson({ unit, failures }, 1)));
  return failures.length;
}

/** The parts of an error. */
export function partsOf(error: unknown): ErrorParts {
  if (error instanceof CompilerError) return { code: error.code, at: error.at, message: error.message };
  return { code: 'bug', at: 'matquant', message: error instanceof Error ? error.message : String(error) };
}

/** The error of some parts, at the place that is given. */
export function errorOf({ code, message }: ErrorParts, at: string): Error {
  return Object.hasOwn(ERRORS, code)
    ? new CompilerError(code as ErrorCode, at, message)
    : new Error(`${at}: ${message}`);
}

/** Forgets that a unit failed. */
export const clearFailure = (plan: string, unit: string): void => rmSync(pathOf(plan, unit), { force: true });
