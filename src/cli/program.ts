/**
 * Everything the command line can do: its version and its verbs, in the order the help shows them. Each verb loads what it needs
 * when it runs.
 */
import { readFileSync } from 'node:fs';
import { appendCommand } from './commands/append.js';
import { captureCommand } from './commands/capture.js';
import { compareCommand } from './commands/compare.js';
import { compileCommand } from './commands/compile.js';
import { emitCommand } from './commands/emit.js';
import { evalCommand } from './commands/eval.js';
import { explainCommand } from './commands/explain.js';
import { inspectCommand } from './commands/inspect.js';
import { lambdaCommand } from './commands/lambda.js';
import { mergeCommand } from './commands/merge.js';
import { mixCommand } from './commands/mix.js';
import { passesCommand } from './commands/passes.js';
import { planCommand } from './commands/plan.js';
import { reportCommand } from './commands/report.js';
import { sliceCommand } from './commands/slice.js';
import { statusCommand } from './commands/status.js';
import { sweepCommand } from './commands/sweep.js';
import { verifyCommand } from './commands/verify.js';
import { workerCommand } from './commands/worker.js';
import type { Program } from './run.js';

const { version } = JSON.parse(readFileSync(new URL('../../../package.json', import.meta.url), 'utf8')) as {
  version: string;
};

export const program: Program = {
  version,
  commands: [
    inspectCommand,
    captureCommand,
    compileCommand,
    planCommand,
    workerCommand,
    statusCommand,
    mergeCommand,
    emitCommand,
    lambdaCommand,
    sliceCommand,
    mixCommand,
    sweepCommand,
    appendCommand,
    evalCommand,
    verifyCommand,
    compareCommand,
    reportCommand,
    passesCommand,
    explainCommand,
  ],
};
