/** What workers and their parent say to each other, and what is counted. */
import { join } from 'node:path';

/** Where the files of a failed case are kept. */
export const caseFolder = (out: string, kind: string, seed: number, index: number): string =>
  join(out, `${kind}-${seed}-${index}`);

/** What a worker tells its parent. */
export type Message =
  | { readonly type: 'ready' }
  | { readonly type: 'begin'; readonly index: number; readonly note: string }
  | {
      readonly type: 'end';
      readonly index: number;
      readonly how: 'success' | 'refused' | 'wrong' | 'crash';
      readonly code?: string;
      readonly detail?: string;
      readonly kl?: number;
      readonly limit?: number;
      readonly seconds?: number;
    }
  | { readonly type: 'done'; readonly next: number };

/** A case that did not end right. */
export interface Fault {
  readonly kind: string;
  readonly index: number;
  readonly note: string;
  readonly how: 'wrong' | 'crash' | 'hang' | 'memory' | 'left';
  readonly detail: string;
  /** Where its files are kept. */
  readonly saved: string;
}

/** What became of the cases of one kind. */
export interface Tally {
  readonly kind: string;
  cases: number;
  succeeded: number;
  refused: number;
  wrong: number;
  crashes: number;
  hangs: number;
  /** Refusals that left files. */
  left: number;
  /** Successes whose logits were compared, the largest divergence, and the largest share of what rounding explains. */
  compared: number;
  worstKl: number;
  worstShare: number;
  slowest: number;
  peakBytes: number;
  readonly codes: Record<string, number>;
  readonly faults: Fault[];
}

export const newTally = (kind: string): Tally => ({
  kind,
  cases: 0,
  succeeded: 0,
  refused: 0,
  wrong: 0,
  crashes: 0,
  hangs: 0,
  left: 0,
  compared: 0,
  worstKl: 0,
  worstShare: 0,
  slowest: 0,
  peakBytes: 0,
  codes: {},
  faults: [],
});
