/** Who owns temporary files: their names say which process made them, so that a later run can tell what nobody needs any more. */
import { createHash } from 'node:crypto';
import { readFileSync, readlinkSync } from 'node:fs';
import { hostname } from 'node:os';
import { OWNER_PATTERN } from './temporary-names.js';

/** The owner that is this process. */
export const ownerTag = (): string => `mq${machine()}-${process.pid}-${startOf(process.pid) ?? 0}`;

/**
 * True when the process of a tag has ended. False when it runs, and when it may: process ids of another machine, or of another
 * container on this one, say nothing here.
 */
export function isAbandoned(tag: string): boolean {
  const [, where, id, started] = new RegExp(`^${OWNER_PATTERN}$`).exec(tag) ?? [];
  if (where !== machine() || id === undefined) return false;
  if (!isRunning(Number(id))) return true;
  const start = startOf(Number(id));
  return start !== undefined && started !== '0' && start !== started;
}

let known: string | undefined;

/** Host name, machine and process namespace together: two processes with this in common see each other. */
function machine(): string {
  known ??= createHash('sha256')
    .update([hostname(), quietly(() => readFileSync('/etc/machine-id', 'utf8')), quietly(() => namespace())].join('\n'))
    .digest('hex')
    .slice(0, 8);
  return known;
}

const namespace = (): string => readlinkSync('/proc/self/ns/pid');

function isRunning(id: number): boolean {
  try {
    process.kill(id, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code !== 'ESRCH';
  }
}

/** When a process began, in ticks since the machine did: a process id alone is used again. Linux only; undefined elsewhere. */
function startOf(id: number): string | undefined {
  // The second field is the name in parentheses, which may hold spaces.
  const fields = quietly(() => readFileSync(`/proc/${id}/stat`, 'utf8'))
    .replace(/^.*\) /s, '')
    .split(' ');
  return fields[19];
}

function quietly(read: () => string): string {
  try {
    return read();
  } catch {
    return '';
  }
}
