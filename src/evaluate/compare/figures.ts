/** Figures of two runs beside each other: what changed, with its interval, and whether that is more than chance. */
import type { CandidateResult, ModelResult } from '../evaluate-types.js';
import {
  type Bootstrap,
  bootstrap,
  bootstrapDifference,
  type Interval,
  intervalOf,
  LEVEL,
  pairedDifferences,
} from '../intervals.js';
import type { WindowSum } from '../statistics.js';

/** What a change is, beyond chance. */
export type ChangeVerdict = 'no difference' | 'worse' | 'better' | 'unclear';

/** One figure of a model, before and after. */
export interface Change {
  /** `kl`, `nll-increase`, `top1`, `bytes`, `stored-bits` or `speed`. */
  readonly name: string;
  readonly base: number;
  readonly head: number;
  /** head − base. */
  readonly difference: number;
  /** Of the difference, at 95 %; absent for a figure that is exact or has too few windows. */
  readonly interval?: Interval;
  readonly verdict: ChangeVerdict;
}

/** A model in one of the two runs. */
export interface Scored {
  readonly score: CandidateResult;
  readonly reference: ModelResult;
}

/** Speeds of equal models differ by less than this between two measurements in one run, on a machine that does nothing else. */
const SPEED_NOISE = 0.15;
/** A figure that is exact up to the order of additions. */
const ROUNDING = 1e-9;

/** Whether two runs scored the same text: the same float model then has the same likelihoods, up to another processor's digits. */
export function isSameText(base: ModelResult, head: ModelResult): boolean {
  const [a, b] = [base.windows, head.windows];
  return (
    a.length === b.length &&
    a.every(({ sum, positions }, at) => {
      const other = b[at] as WindowSum;
      return positions === other.positions && Math.abs(sum - other.sum) <= 1e-3 * Math.abs(sum);
    })
  );
}

/** Quality: KL, NLL increase and top-1. */
export function qualityChanges(base: Scored, head: Scored): readonly Change[] {
  const change = (
    name: string,
    of: (scored: Scored) => readonly WindowSum[],
    value: (scored: Scored) => number,
  ): Change => {
    const [a, b] = [value(base), value(head)];
    const interval = intervalOf(differenceOf(base, head, of));
    return {
      name,
      base: a,
      head: b,
      difference: b - a,
      ...(interval !== undefined && { interval }),
      verdict: sampledVerdict(b - a, interval, name === 'top1' ? 1 : -1),
    };
  };
  return [
    change('kl', klOf, ({ score }) => score.kl),
    change('nll-increase', increases, ({ score }) => score.deltaNll),
    change(
      'top1',
      ({ score }) => score.top1Windows,
      ({ score }) => score.top1,
    ),
  ];
}

const klOf = ({ score }: Scored): readonly WindowSum[] => score.klWindows;

/** Resampled differences of a figure, by pairs of windows where both runs scored the same text. */
function differenceOf(base: Scored, head: Scored, of: (scored: Scored) => readonly WindowSum[]): Bootstrap {
  const isPaired =
    isSameText(base.reference, head.reference) && base.score.windows.length === head.score.windows.length;
  const [before, after] = [of(base), of(head)];
  return isPaired ? bootstrap(pairedDifferences(before, after)) : bootstrapDifference(before, after);
}

/** What a model costs. */
export interface Cost {
  /** To download. */
  readonly bytes: number;
  readonly storedBits: number;
  /** Tokens per second relative to the float model in the same run; absent when not measured. */
  readonly speed?: number | undefined;
}

export const costOf = ({ score, reference }: Scored): Cost => {
  const speed = score.tokensPerSecond / reference.tokensPerSecond;
  const { downloadBytes: bytes, storedBitsPerWeight: storedBits } = score;
  return { bytes, storedBits, speed: Number.isFinite(speed) && speed > 0 ? speed : undefined };
};

/** What is not sampled: bytes, stored bits and speed. */
export function costChanges(base: Cost, head: Cost): readonly Change[] {
  const exact = (name: string, a: number, b: number): Change => {
    const isSame = Math.abs(b - a) <= ROUNDING * Math.abs(a);
    return {
      name,
      base: a,
      head: b,
      difference: b - a,
      verdict: isSame ? 'no difference' : b > a ? 'worse' : 'better',
    };
  };
  return [
    exact('bytes', base.bytes, head.bytes),
    exact('stored-bits', base.storedBits, head.storedBits),
    ...(base.speed === undefined || head.speed === undefined ? [] : [speedChange(base.speed, head.speed)]),
  ];
}

function speedChange(base: number, head: number): Change {
  const isNoise = Math.abs(Math.log(head / base)) <= Math.log(1 + SPEED_NOISE);
  const verdict = isNoise ? 'no difference' : head < base ? 'worse' : 'better';
  return { name: 'speed', base, head, difference: head - base, verdict };
}

/** `better` is the sign of a difference that is an improvement. */
function sampledVerdict(difference: number, interval: Interval | undefined, better: 1 | -1): ChangeVerdict {
  if (difference === 0) return 'no difference';
  if (interval === undefined) return 'unclear';
  if (interval.low <= 0 && interval.high >= 0) return 'no difference';
  return interval.low > 0 === better > 0 ? 'better' : 'worse';
}

/** KL decides over a model, at a level that allows for the number of models compared. */
export function modelVerdict(base: Scored, head: Scored, models: number): ChangeVerdict {
  const resampled = differenceOf(base, head, klOf);
  return sampledVerdict(resampled.mean, intervalOf(resampled, 1 - (1 - LEVEL) / models), -1);
}

function increases({ score, reference }: Scored): readonly WindowSum[] {
  return pairedDifferences(reference.windows.slice(0, score.windows.length), score.windows);
}
