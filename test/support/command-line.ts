/** Runs command lines in this process and as a child. */
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import type { Command } from '../../src/cli/command.js';
import { type ExitCode, runCommandLine } from '../../src/cli/run.js';
import { root } from './paths.js';

export interface Ran {
  readonly code: ExitCode | number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs a command line with some verbs and what they print caught. */
export async function runHere(
  args: readonly string[],
  commands: readonly Command[],
  signal: AbortSignal = new AbortController().signal,
): Promise<Ran> {
  let [stdout, stderr] = ['', ''];
  const out = { write: (text: string) => (stdout += text) };
  const err = { write: (text: string) => (stderr += text) };
  const code = await runCommandLine(args, { version: '1.2.3', commands }, { stdout: out, stderr: err, signal });
  return { code, stdout, stderr };
}

/** Runs the built command in a child process, with nothing on stdin. */
export function runChild(args: readonly string[], cwd: string = root): Ran {
  const main = join(root, 'dist/src/cli/main.js');
  const { status, stdout, stderr } = spawnSync(process.execPath, [main, ...args], {
    cwd,
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'pipe'],
    maxBuffer: 2 ** 28,
  });
  return { code: status, stdout, stderr };
}
