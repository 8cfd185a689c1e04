/**
 * What a long run says while it works, and how it is told to stop. Nothing here prints: the command line renders it, a
 * program that uses the package passes its own, and tests pass `silentContext()`.
 */

/** Messages for people. `info` reports the course of the work, `warn` something a user should look at. */
export interface Log {
  info(text: string): void;
  warn(text: string): void;
}

/** Progress of one stage. */
export interface ProgressUpdate {
  /** A verb or noun a user understands: `capture`, `solve`, `write`. */
  readonly stage: string;
  readonly done: number;
  readonly total: number;
  /** What is being worked on, such as a layer's name. */
  readonly detail?: string;
}

/** Called as often as convenient; the renderer limits its own rate. */
export interface Progress {
  update(update: ProgressUpdate): void;
}

/** Where messages and progress go, and how a run is stopped. */
export interface Context {
  readonly log: Log;
  readonly progress: Progress;
  /** Aborted to stop the run; long steps check it between units of work. */
  readonly signal: AbortSignal;
}

/** A context that prints nothing. Without `signal` it never stops. */
export function silentContext(signal: AbortSignal = new AbortController().signal): Context {
  return { log: { info: () => {}, warn: () => {} }, progress: { update: () => {} }, signal };
}
