/** The figures that limits bound: how each is found, with its interval, and which way it is better. */
import { fileSizesOf } from '../../onnx/convert/file-sizes.js';
import type { CandidateResult, ModelResult } from '../evaluate-types.js';
import { bootstrap, type Interval, intervalOf, pairedDifferences } from '../intervals.js';
import type { WindowSum } from '../statistics.js';
import { storedBitsOfGraph } from '../stored-bits-of-graph.js';
import type { Side } from '../verdict.js';

/** A figure with its interval: `unknown` where there are too few windows for one, absent for a figure that is exact. */
export interface Measured {
  readonly value: number;
  readonly standardError?: number;
  readonly interval?: Interval | 'unknown';
}

interface Bounds {
  /** What the check is called. */
  readonly check: string;
  readonly side: Side;
}

/** A limit on what the files are. */
export interface FileLimit extends Bounds {
  readonly on: 'files';
  measure(path: string): Measured;
}

/** A limit on what a run over text shows. */
export interface ScoreLimit extends Bounds {
  readonly on: 'text';
  measure(candidate: CandidateResult, reference: ModelResult, level: number): Measured;
}

export type LimitName =
  | 'maxKl'
  | 'maxNllIncrease'
  | 'minTop1'
  | 'maxSize'
  | 'maxBytes'
  | 'maxStoredBits'
  | 'minSpeed'
  | 'maxLoadMemory';

const sampled = (value: number, standardError: number, windows: readonly WindowSum[], level: number): Measured => ({
  value,
  standardError,
  interval: intervalOf(bootstrap(windows), level) ?? 'unknown',
});

export const LIMITS: Readonly<Record<LimitName, FileLimit | ScoreLimit>> = {
  maxKl: {
    on: 'text',
    check: 'kl',
    side: 'most',
    measure: ({ kl, klStandardError, klWindows }, _, level) => sampled(kl, klStandardError, klWindows, level),
  },
  maxNllIncrease: {
    on: 'text',
    check: 'nll-increase',
    side: 'most',
    measure: ({ deltaNll, deltaNllStandardError, windows }, reference, level) => {
      // A group of candidates may have ended before the reference did.
      const differences = pairedDifferences(reference.windows.slice(0, windows.length), windows);
      return sampled(deltaNll, deltaNllStandardError, differences, level);
    },
  },
  minTop1: {
    on: 'text',
    check: 'top1',
    side: 'least',
    measure: ({ top1, top1StandardError, top1Windows }, _, level) =>
      sampled(top1, top1StandardError, top1Windows, level),
  },
  minSpeed: {
    on: 'text',
    check: 'speed',
    side: 'least',
    measure: ({ tokensPerSecond }, reference) => ({ value: tokensPerSecond / reference.tokensPerSecond }),
  },
  maxLoadMemory: {
    on: 'text',
    check: 'load-memory',
    side: 'most',
    measure: ({ loadedBytes }) => ({ value: loadedBytes }),
  },
  maxSize: {
    on: 'files',
    check: 'size',
    side: 'most',
    measure: (path) => ({ value: fileSizesOf(path).fileBytes }),
  },
  maxBytes: {
    on: 'files',
    check: 'bytes',
    side: 'most',
    measure: (path) => ({ value: fileSizesOf(path).downloadBytes }),
  },
  maxStoredBits: {
    on: 'files',
    check: 'stored-bits',
    side: 'most',
    measure: (path) => ({ value: storedBitsOfGraph(path) }),
  },
};

export const LIMIT_NAMES: readonly LimitName[] = Object.keys(LIMITS) as LimitName[];
