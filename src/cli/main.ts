#!/usr/bin/env node
/** The `matquant` command: joins the command line to the process. */
import { readFileSync } from 'node:fs';
import { appendCommand } from './commands/append.js';
import { compileCommand } from './commands/compile.js';
import { evalCommand } from './commands/eval.js';
import { explainCommand } from './commands/explain.js';
import { inspectCommand } from './commands/inspect.js';
import { mixCommand } from './commands/mix.js';
import { passesCommand } from './commands/passes.js';
import { reportCommand } from './commands/report.js';
import { sliceCommand } from './commands/slice.js';
import { verifyCommand } from './commands/verify.js';
import { type Program, runCommandLine } from './run.js';

const { version } = JSON.parse(readFileSync(new URL('../../../package.json', import.meta.url), 'utf8')) as {
  version: string;
};

const program: Program = {
  version,
  commands: [
    inspectCommand,
    compileCommand,
    sliceCommand,
    mixCommand,
    appendCommand,
    evalCommand,
    verifyCommand,
    reportCommand,
    passesCommand,
    explainCommand,
  ],
};

/** The first interrupt asks the work to stop; the second ends the process, whose exit hooks remove staged files. */
function abortOnInterrupt(): AbortSignal {
  const controller = new AbortController();
  const interrupt = (): void => {
    if (controller.signal.aborted) process.exit(130);
    controller.abort();
  };
  process.on('SIGINT', interrupt);
  process.on('SIGTERM', interrupt);
  return controller.signal;
}

/** A reader that closes the pipe early, such as `head`, is not an error. */
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code !== 'EPIPE') throw error;
  process.exit(0);
});

const { stdout, stderr } = process;
const code = await runCommandLine(process.argv.slice(2), program, { stdout, stderr, signal: abortOnInterrupt() });
// Sessions and thread pools may still hold the event loop; what was printed goes out first.
stdout.write('', () => stderr.write('', () => process.exit(code)));
