/** Parses a command line, runs its verb and turns what happens into text and an exit code. Knows no process: main does. */
import type { Argv } from 'yargs';
import yargs from 'yargs';
import { CompilerError, withoutTemporary } from '../diagnostics.js';
import type { Context } from '../log.js';
import type { Command, Outcome } from './command.js';
import { inFlags } from './flag-names.js';
import { createProgress, type ProgressLine, type Terminal } from './progress.js';
import { usageError } from './usage.js';

/** 0 done, 1 a bug, 2 bad input or usage, 3 a threshold missed, 130 interrupted. */
export type ExitCode = 0 | 1 | 2 | 3 | 130;

/** What the command line talks to. `signal` is aborted when the user interrupts. */
export interface Surroundings {
  readonly stdout: { write(text: string): unknown };
  readonly stderr: Terminal;
  readonly signal: AbortSignal;
}

export interface Program {
  readonly version: string;
  readonly commands: readonly Command[];
}

interface Flags {
  readonly json: boolean;
  readonly quiet: boolean;
  readonly debug: boolean;
}

/** Runs one command line (without node and script). Never throws. */
export async function runCommandLine(
  args: readonly string[],
  program: Program,
  { stdout, stderr, signal }: Surroundings,
): Promise<ExitCode> {
  const flags = flagsOf(args);
  const progress = flags.quiet ? { update: () => {}, clear: () => {} } : createProgress(stderr);
  const log = logTo(stderr, progress, flags);
  try {
    const outcome = await parse(args, program, { log, progress, signal });
    progress.clear();
    const text = flags.json && outcome.data !== undefined ? JSON.stringify(outcome.data) : outcome.text;
    if (text !== '') stdout.write(`${text}\n`);
    for (const line of outcome.annotations ?? []) stderr.write(`${line}\n`);
    return outcome.exitCode ?? 0;
  } catch (error) {
    progress.clear();
    const failure = explain(error, signal, flags, verbOf(args, program));
    stderr.write(`${failure.sentence}\n`);
    if (flags.json) stdout.write(`${JSON.stringify({ error: failure.data })}\n`);
    return failure.exitCode;
  }
}

/** The flags that must be known even when parsing fails. */
function flagsOf(args: readonly string[]): Flags {
  const end = args.indexOf('--');
  const set = new Set(end < 0 ? args : args.slice(0, end));
  return { json: set.has('--json'), quiet: set.has('--quiet') || set.has('-q'), debug: set.has('--debug') };
}

function logTo(stderr: Terminal, progress: ProgressLine, { quiet }: Flags): Context['log'] {
  const say = (text: string): void => {
    progress.clear();
    stderr.write(`${text}\n`);
  };
  return { info: quiet ? () => {} : say, warn: (text) => say(`warning: ${text}`) };
}

/** Runs the verb of a command line; help and version are outcomes without data. */
async function parse(args: readonly string[], program: Program, context: Context): Promise<Outcome> {
  let outcome: Outcome = { data: undefined, text: '' };
  const parser = createParser(args, program);
  for (const command of program.commands) {
    command.register(parser, async (work) => {
      outcome = await work(context);
    });
  }
  await parser.parseAsync([...args], {}, (_error, _parsed, output) => {
    if (output !== '') outcome = { data: undefined, text: output };
  });
  return outcome;
}

/** Columns of a terminal as it opens, which help fits. */
const COLUMNS = 80;

/** The verb of a command line, or nothing. */
const verbOf = (args: readonly string[], { commands }: Program): string =>
  commands.find(({ verb }) => verb === args.find((arg) => !arg.startsWith('-')))?.verb ?? '';

function createParser(args: readonly string[], { version, commands }: Program): Argv {
  const everywhere = (describe: string) =>
    ({ type: 'boolean', default: false, describe, group: 'Everywhere:' }) as const;
  return yargs()
    .scriptName('matquant')
    .locale('en')
    .usage('Compiles Gemma and Mistral ONNX exports into one nested set of int8, int6, int4, int3 and int2 models.')
    .parserConfiguration({
      'dot-notation': false,
      'camel-case-expansion': false,
      'greedy-arrays': false,
      'parse-numbers': false,
    })
    .option('json', everywhere('Print the result as one line of JSON'))
    .option('quiet', { ...everywhere('Print no progress and no notes'), alias: 'q' })
    .option('debug', everywhere('Print the stack of an error'))
    .group(['help', 'version'], 'Everywhere:')
    .version(version)
    .help()
    .strict()
    .demandCommand(1, 'A command is needed')
    .wrap(COLUMNS)
    .exitProcess(false)
    .fail((message, error: Error | undefined) => {
      if (error !== undefined && error.name !== 'YError') throw error;
      throw usageError(message, args, commands);
    });
}

interface Failure {
  readonly sentence: string;
  readonly data: { readonly code: string; readonly at: string; readonly message: string; readonly remedy: string };
  readonly exitCode: ExitCode;
}

function explain(error: unknown, signal: AbortSignal, { debug }: Flags, verb: string): Failure {
  const stack = debug && error instanceof Error ? `\n${error.stack}` : '';
  if (signal.aborted) {
    const data = { code: 'interrupted', at: 'matquant', message: 'Interrupted', remedy: 'run the command again' };
    return { sentence: `Interrupted; nothing was left half written.${stack}`, data, exitCode: 130 };
  }
  if (error instanceof CompilerError) {
    const data = inFlags(error, verb);
    const { code, at, message: what, remedy } = data;
    return { sentence: `${what} [${code}] at ${at}; ${remedy}.${stack}`, data, exitCode: 2 };
  }
  const message = withoutTemporary(error instanceof Error ? error.message : String(error));
  const remedy = 'run again with --debug and report it with what is printed';
  const sentence = `This is a bug in matquant: ${message.replaceAll(/\s+/g, ' ')}; ${remedy}.${stack}`;
  return { sentence, data: { code: 'bug', at: 'matquant', message, remedy }, exitCode: 1 };
}
