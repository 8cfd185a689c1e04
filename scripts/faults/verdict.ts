/** What a row of the table is made of, and how one try is judged. */
import type { Bench } from './bench.js';
import type { Ran } from './command.js';

/** `silent`: a wrong result without a word. `fault`: a crash, a hang, lost or left files, exit code 1. */
export type Verdict =
  | { readonly how: 'right' }
  | { readonly how: 'silent' | 'fault' | 'skipped'; readonly detail: string };

export interface Try {
  readonly name: string;
  /** `folder` is new and empty. */
  run(folder: string): Promise<Verdict>;
}

export interface Row {
  /** What `--only` names. */
  readonly group: string;
  readonly name: string;
  /** Fewer when `bench.short`. */
  tries(bench: Bench): Promise<readonly Try[]> | readonly Try[];
}

export const RIGHT: Verdict = { how: 'right' };
export const silent = (detail: string): Verdict => ({ how: 'silent', detail });
export const fault = (detail: string): Verdict => ({ how: 'fault', detail });
export const skipped = (detail: string): Verdict => ({ how: 'skipped', detail });

/** True when a command ended with exit code 2 and a code in brackets. */
export const refused = ({ code, stderr }: Ran): boolean => code === 2 && /\[[a-z0-9-]+\]/.test(stderr);

export const sayOf = ({ code, signal, stderr }: Ran): string =>
  `${signal ?? `exit code ${code}`} ${stderr.trim().split('\n').at(-1)?.slice(0, 160) ?? ''}`;

/** Right is a refusal with a code, or the result that the sound input gives. */
export function judge(ran: Ran, isSame: () => boolean): Verdict {
  if (refused(ran)) return RIGHT;
  if (ran.code !== 0) return fault(sayOf(ran));
  return isSame() ? RIGHT : silent('exit code 0 with another result');
}

/** Right is a refusal with a code. */
export function mustRefuse(ran: Ran): Verdict {
  if (refused(ran)) return RIGHT;
  return ran.code === 0 ? silent('exit code 0') : fault(sayOf(ran));
}

/** The first verdict that is not right. */
export function all(...verdicts: readonly Verdict[]): Verdict {
  return verdicts.find(({ how }) => how !== 'right') ?? RIGHT;
}

/** `count` numbers of [0, 1), evenly spread and the same every time. */
export const spread = (count: number): readonly number[] =>
  Array.from({ length: count }, (_, at) => (at + 0.5) / count);

/** At most `count` of a list, evenly spread. */
export const some = <T>(list: readonly T[], count: number): readonly T[] =>
  list.length <= count ? list : spread(count).map((at) => list[Math.floor(at * list.length)] as T);

/** Right is that no temporary file is left. */
export const nothingLeft = (left: readonly string[]): Verdict =>
  left.length === 0 ? RIGHT : fault(`left: ${left.slice(0, 3).join(', ')}`);
