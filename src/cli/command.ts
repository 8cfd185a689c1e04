/** How a verb is declared: one value holds its usage, its options with their help, examples, and what it does. */
import type { Argv, Options } from 'yargs';
import { fail } from '../diagnostics.js';
import type { Context } from '../log.js';

/** What a verb hands back: `data` is printed with --json, `text` without it. Exit code 3 is a threshold missed, 130 an interrupt that was waited for. */
export interface Outcome {
  readonly data: unknown;
  readonly text: string;
  readonly exitCode?: 3 | 130;
  /** Lines for the service that runs the command; they go to stderr, also with --quiet and --json. */
  readonly annotations?: readonly string[];
}

/** A flag or a positional. Values that are more than text are read by `values.ts`, which reports what is wrong with them. */
export interface OptionSpec {
  readonly describe: string;
  readonly type: 'string' | 'boolean' | 'array';
  readonly alias?: string;
  readonly default?: string | boolean;
  readonly choices?: readonly string[];
  readonly required?: true;
  /** Heading in the help text. */
  readonly group?: string;
}

/** The kinds of flag that shared tables name in their types. */
export type Flag = OptionSpec & { readonly type: 'string' };
export type DefaultedFlag = Flag & { readonly default: string };
export type ListFlag = OptionSpec & { readonly type: 'array' };

export type OptionTable = Readonly<Record<string, OptionSpec>>;

type Present<S extends OptionSpec> = S extends { required: true } | { default: string | boolean } ? never : undefined;
type ValueOf<S extends OptionSpec> = S['type'] extends 'boolean'
  ? boolean
  : (S['type'] extends 'array' ? readonly string[] : string) | Present<S>;

/** The values of a table's options after parsing. */
export type Values<O extends OptionTable> = { readonly [K in keyof O]: ValueOf<O[K]> };

export interface CommandSpec<P extends OptionTable, O extends OptionTable> {
  /** Verb and positionals in yargs' notation: `compile <model>`. */
  readonly usage: string;
  readonly summary: string;
  readonly positionals: P;
  readonly options: O;
  /** Pairs of what is typed after `matquant` and what it does. */
  readonly examples: readonly (readonly [string, string])[];
  run(values: Values<P & O>, context: Context): Promise<Outcome>;
}

/** A verb whose option types are hidden, so that all verbs fit one list. */
export interface Command {
  readonly verb: string;
  readonly usage: string;
  readonly optionNames: readonly string[];
  /** Adds the verb to a parser; `perform` is called when it is the one chosen. */
  register(parser: Argv, perform: (work: (context: Context) => Promise<Outcome>) => Promise<void>): Argv;
}

export function defineCommand<const P extends OptionTable, const O extends OptionTable>(
  spec: CommandSpec<P, O>,
): Command {
  const verb = spec.usage.split(' ')[0] ?? spec.usage;
  return {
    verb,
    usage: spec.usage,
    optionNames: Object.keys(spec.options),
    register: (parser, perform) =>
      parser.command(
        spec.usage,
        spec.summary,
        (builder) => declare(builder, spec),
        (parsed) => perform((context) => spec.run(collect(parsed, spec), context)),
      ),
  };
}

function declare(builder: Argv, spec: CommandSpec<OptionTable, OptionTable>): Argv {
  for (const [name, { describe, type, choices }] of Object.entries(spec.positionals)) {
    builder.positional(name, { describe, ...(choices && { choices }), ...(type === 'array' ? {} : { type }) });
  }
  for (const [name, option] of Object.entries(spec.options)) builder.option(name, flagOf(option));
  for (const [typed, does] of spec.examples) builder.example(`$0 ${typed}`, does);
  return builder;
}

function flagOf({ required, choices, ...rest }: OptionSpec): Options {
  return {
    ...rest,
    requiresArg: rest.type !== 'boolean',
    ...(choices && { choices }),
    ...(required && { demandOption: true }),
  };
}

/** Picks the declared values out of what yargs parsed, and refuses a single-valued flag that was given twice. */
function collect<P extends OptionTable, O extends OptionTable>(
  parsed: Readonly<Record<string, unknown>>,
  spec: CommandSpec<P, O>,
): Values<P & O> {
  const table = { ...spec.positionals, ...spec.options };
  const entries = Object.entries(table).map(([name, option]): [string, unknown] => {
    const value = parsed[name] ?? (option.type === 'boolean' ? false : undefined);
    if (Array.isArray(value) && option.type !== 'array')
      fail('bad-usage', `--${name}`, 'The option is given more than once');
    return [name, Array.isArray(value) ? value.map(String) : value];
  });
  return Object.fromEntries(entries) as Values<P & O>;
}
