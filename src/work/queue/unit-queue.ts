/** What a worker asks of a queue. Queues hold names of units and nothing else; what is done is said by the plan's folder alone. */
import type { ProgressUpdate } from '../../log.js';

/** A unit to be queued. */
export interface QueuedUnit {
  readonly id: string;
  /** The memory class that it is in: workers take from the classes that they hold. */
  readonly memoryClass: string;
  /** From 1, lower first. */
  readonly priority: number;
}

/** Something that a worker has taken. It is its own until it is completed, failed, or its worker gives no sign of life. */
export interface TakenJob {
  /** Undefined for the end of a phase: then the next units are to be queued. */
  readonly unit: string | undefined;
  /** Removes it. Never throws: whoever misses it queues it again. */
  complete(): Promise<void>;
  /** Counts a failure: it is tried again some time later, three times altogether. Never throws. */
  fail(error: Error): Promise<void>;
  /** Writes down how far it is. Never throws. */
  progress(update: ProgressUpdate): void;
}

export interface UnitQueue {
  /** Queues units of a phase, and its end behind them. Those that are queued already stay as they are. */
  fill(phase: number, units: readonly QueuedUnit[]): Promise<void>;
  /** Takes the end of a phase, or a unit of the largest class that has one; undefined where all are empty. */
  take(): Promise<TakenJob | undefined>;
  /** Removes the queues of the plan, which is done. */
  forget(): Promise<void>;
  /** Gives the connection up. Never throws. */
  close(): Promise<void>;
}
