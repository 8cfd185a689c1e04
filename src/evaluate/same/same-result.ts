/** The verdict on two sets: equal bytes, or differences within limits. */
import { significant } from '../../format.js';
import type { Finding } from '../verify-digests.js';
import { differenceOf, type SetDifference } from './same-set.js';

/** The set to be the same as. Without a limit all bytes of data and graphs have to be equal. */
export interface SameAs {
  /** A set (.json or folder). */
  readonly set: string;
  /** Maximum share of different codes at any precision, 0 to 1. */
  readonly maxCodeShare?: number;
  /** Maximum root mean square change of the weights at any precision, in steps of their codes. */
  readonly maxWeightChange?: number;
}

/** What differs, and whether that is allowed. */
export interface SameResult extends SetDifference {
  readonly passed: boolean;
  /** Why it is not, as sentences; empty where it passed. */
  readonly problems: readonly string[];
}

/** Compares a set with another one. Error codes of `differenceOf`. */
export function sameResult(candidate: string, sameAs: SameAs): SameResult {
  const difference = differenceOf(candidate, sameAs.set);
  const problems = problemsOf(difference, sameAs);
  return { ...difference, passed: problems.length === 0, problems };
}

function problemsOf(found: SetDifference, { maxCodeShare, maxWeightChange }: SameAs): readonly string[] {
  if (maxCodeShare === undefined && maxWeightChange === undefined)
    return found.equal ? [] : ['Data or graphs do not have the same bytes.'];
  return [
    ...beyond('The share of different codes', found.codes, maxCodeShare),
    ...beyond('The RMS change of the weights in steps', found.change, maxWeightChange),
  ];
}

const beyond = (what: string, value: number, limit = Number.POSITIVE_INFINITY): readonly string[] =>
  value <= limit ? [] : [`${what} is ${significant(value)}, the limit is ${limit}.`];

/** The verdict as a case of a test report. */
export function findingOf({ with: other, problems }: SameResult): Finding {
  const problem = problems.length === 0 ? undefined : `is not the same: ${problems.join(' ')}`;
  return { at: other, part: 'set', ...(problem !== undefined && { problem }) };
}
