/** What a worker and the process of its units tell each other. */
import type { ProgressUpdate } from '../../log.js';
import type { ErrorParts } from '../failures.js';
import type { UnitMachine } from '../open-plan.js';
import type { UnitResult } from '../results.js';

/** The plan that a process opens. */
export interface OpenMessage {
  readonly plan: string;
  readonly machine: UnitMachine;
  readonly leaseSeconds: number;
}

/**
 * How a unit ended. `done`: now or before. `open`: another worker has it, or a result that it needs was found damaged. `failed`: that is
 * written down. `stop`: by no fault of the unit, so the worker can go on with none.
 */
export type UnitOutcome =
  | { readonly kind: 'done'; readonly result: UnitResult }
  | { readonly kind: 'open' }
  | { readonly kind: 'failed'; readonly error: ErrorParts; readonly times: number }
  | { readonly kind: 'stop'; readonly error: ErrorParts };

/** From the worker: a plan first, and then units. */
export type ToProcess = { readonly open: OpenMessage } | { readonly unit: string };

/** From the process: how a unit ended, what it says, and how far it is. */
export type FromProcess =
  | { readonly outcome: UnitOutcome }
  | { readonly say: 'info' | 'warn'; readonly text: string }
  | { readonly progress: ProgressUpdate };
