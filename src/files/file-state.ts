/** What tells that a file was changed: its place, size and times, in nanoseconds. */
import { closeSync, fstatSync, openSync, statSync } from 'node:fs';
import { fail } from '../diagnostics.js';

/** True for a file, or a link to one; false where nothing is. */
export const isFile = (path: string): boolean => statSync(path, { throwIfNoEntry: false })?.isFile() ?? false;

export interface FileState {
  /** Device, inode, size and time of the last write: other contents give another text. */
  readonly contents: string;
  /** Time of the last change of any kind, names and permissions included; no program can set it. */
  readonly changed: bigint;
  readonly bytes: number;
}

/** Times have the precision of the system's clock tick: two writes within a tick may leave the same time. */
const TICK_MS = 20;
/** A file that is written without a pause for so long is not an input. */
const PATIENCE_MS = 2000;

/** The state of an open file; undefined for what is no regular file. */
export function stateOf(descriptor: number): FileState | undefined {
  const stats = fstatSync(descriptor, { bigint: true });
  if (!stats.isFile()) return undefined;
  const { dev, ino, size, mtimeNs, ctimeNs } = stats;
  return { contents: `${dev}:${ino}:${size}:${mtimeNs}`, changed: ctimeNs, bytes: Number(size) };
}

/**
 * The state of the file at a path, opened anew, so that a network disk asks its server; undefined when there is no regular file.
 * Whatever is written after the call gives another state: a file that was changed just before is waited for.
 * Error code `input-changed` when it is being written all the time.
 */
export function settledState(path: string): FileState | undefined {
  const start = Date.now();
  for (;;) {
    const state = currentState(path);
    const age = state === undefined ? TICK_MS : Date.now() - Number(state.changed / 1_000_000n);
    // A time in the future is another machine's, and says nothing.
    if (age >= TICK_MS || age < -TICK_MS) return state;
    if (Date.now() - start > PATIENCE_MS) fail('input-changed', path, 'The file is being written');
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, TICK_MS);
  }
}

/** The state of the file at a path, opened anew; undefined when there is no regular file. */
export function currentState(path: string): FileState | undefined {
  let descriptor: number;
  try {
    // A pipe must not be opened: its writer would see it close again.
    if (!statSync(path).isFile()) return undefined;
    descriptor = openSync(path, 'r');
  } catch {
    return undefined;
  }
  try {
    return stateOf(descriptor);
  } finally {
    closeSync(descriptor);
  }
}
