/**
 * What a long run says while it works, and how it is told to stop. Nothing here prints: the command line renders it, a
 * program that uses the package passes its own, and tests pass `silentContext()`.
 */

/** Sentences for people. `info` is the course of things, `warn` is something a user should look at. */
export interface Log {
  info(text: string): void;
  warn(text: string): void;
}

/** How far one stage of the work is. */
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

/** What every step of the pipeline is given besides its options. */
export interface Context {
  readonly log: Log;
  readonly progress: Progress;
  /** Aborted when the user interrupts; steps that take long call `signal.throwIfAborted()` between units of work. */
  readonly signal: AbortSignal;
}

/** A context that says nothing and never stops. */
export function silentContext(signal: AbortSignal = new AbortController().signal): Context {
  return { log: { info: () => {}, warn: () => {} }, progress: { update: () => {} }, signal };
}
