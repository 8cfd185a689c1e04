#!/usr/bin/env node
/** The `matquant` command: joins the command line to the process. */
import { program } from './program.js';
import { runCommandLine } from './run.js';

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
