/** What distillation takes and gives. */
import type { Log } from '../../log.js';
import type { Random } from '../../random.js';
import type { ChainStep, TaughtExample } from './chain.js';
import type { HeldOutEvaluation } from './checkpoint.js';
import type { Columns, Learning } from './student.js';
import type { Teacher } from './teacher.js';
import type { DistillText } from './text.js';

export interface DistillOptions {
  readonly steps: number;
  /** Instead of `steps`: as many as fit, told from the time of the first ones. */
  readonly minutes?: number | undefined;
  /** Windows a step. */
  readonly batch: number;
  /** Largest step in units of a projection's mean scale. */
  readonly rate: number;
  /** Evaluation interval in steps, and evaluations without improvement after which it stops. */
  readonly every: number;
  readonly patience: number;
  /** Steps over which the rate rises from 0; default 10. */
  readonly warmUp?: number;
  /** Largest step of the position of a code, in codes. */
  readonly codeRate?: number;
}

/** What gives a loss and its gradients: a chain, or several that share what learns. */
export interface Trainable {
  loss(taught: TaughtExample, learning: Learning): Promise<number>;
  step(taught: TaughtExample, learning: Learning): Promise<ChainStep>;
}

export interface DistillRequest<C extends Columns> {
  readonly chain: Trainable;
  readonly teacher: Teacher;
  readonly text: DistillText;
  /** Windows to learn from, and held-out windows. */
  readonly rows: readonly number[];
  readonly kept: readonly number[];
  /** Tables at the start, by projection. */
  readonly tables: Learning<C>;
  /** What is left of tables that are stored and read again. */
  readonly stored: (tables: Learning<C>) => Learning<C>;
  /** Brings what has moved too far back into its bounds, in place. */
  readonly confine?: ((tables: Learning<C>) => void) | undefined;
  readonly options: DistillOptions;
  readonly random: Random;
  /** File that an interrupted run goes on from. */
  readonly checkpoint?: string | undefined;
  /** Told when that file is damaged. */
  readonly log: Log;
  readonly signal?: AbortSignal | undefined;
  readonly onStep?: ((step: number, steps: number, loss: number, kept: number) => void) | undefined;
}

export interface Distilled<C extends Columns> {
  /** The best tables, as they were before storing. */
  readonly tables: Learning<C>;
  readonly looks: readonly HeldOutEvaluation[];
  readonly steps: number;
}
