/** Checks in words and figures, for tables, annotations and pictures. */
import { byteSize, significant } from '../../format.js';
import type { Check } from './checks.js';

const SIZES: ReadonlySet<string> = new Set(['size', 'bytes', 'load-memory']);

const TITLES: Readonly<Record<string, string>> = {
  kl: 'KL',
  'nll-increase': 'NLL increase',
  top1: 'top-1',
  bytes: 'download',
  size: 'size',
  'stored-bits': 'stored bits',
  speed: 'speed relative to float',
  'load-memory': 'memory of loading',
};

/** What a check or a change is about, for people. */
export const titleOf = ({ name }: Pick<Check, 'name'>): string => TITLES[name] ?? name;

/** A value of a check or change as people read it. */
export const figureOf = ({ name }: Pick<Check, 'name'>, value: number): string =>
  SIZES.has(name) ? byteSize(Math.round(value)) : significant(value);

/** `0.12 ± 0.01`. */
export const measuredOf = (check: Check): string =>
  check.standardError === undefined
    ? figureOf(check, check.value)
    : `${figureOf(check, check.value)} ± ${significant(check.standardError, 2)}`;

/** `0.10 to 0.14`; nothing for an exact figure. */
export const intervalText = (check: Check): string =>
  check.interval === undefined
    ? ''
    : `${figureOf(check, check.interval.low)} to ${figureOf(check, check.interval.high)}`;

/** `pass`, `MISSED`, or what holds although it is not clear. */
export function verdictText({ verdict, passed }: Check): string {
  if (verdict === 'unclear') return passed ? 'unclear, within' : 'unclear, beyond';
  return verdict === 'pass' ? 'pass' : 'MISSED';
}

/** One sentence for an annotation. */
export function sentenceOf(check: Check): string {
  const how = check.side === 'most' ? 'at most' : 'at least';
  const interval = check.interval === undefined ? '' : ` (95 % interval ${intervalText(check)})`;
  const limit = `the limit is ${how} ${figureOf(check, check.limit)}`;
  const tolerance = check.tolerance === undefined ? '' : ` with a tolerance of ${significant(100 * check.tolerance)} %`;
  const reason = check.reason === undefined ? '' : ` Reason for the limit: ${check.reason}`;
  return `${check.model}: ${titleOf(check)} is ${figureOf(check, check.value)}${interval}, ${limit}${tolerance}.${reason}`;
}
