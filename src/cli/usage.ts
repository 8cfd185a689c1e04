/** Turns the parser's complaints into one sentence that says what was meant. */
import { CompilerError } from '../diagnostics.js';
import type { Command } from './command.js';
import { nearest } from './suggest.js';

const EVERYWHERE = ['json', 'quiet', 'debug', 'help', 'version'];

/** `message` is yargs' own sentence in English; `args` is the whole command line. */
export function usageError(message: string, args: readonly string[], commands: readonly Command[]): CompilerError {
  const words = args.filter((arg) => !arg.startsWith('-'));
  const command = commands.find(({ verb }) => verb === words[0]);
  const at = command === undefined ? 'matquant' : `matquant ${command.verb}`;
  return new CompilerError('bad-usage', at, sentence(message, args, words, command, commands));
}

function sentence(
  message: string,
  args: readonly string[],
  words: readonly string[],
  command: Command | undefined,
  commands: readonly Command[],
): string {
  const [, unknown] = /^Unknown arguments?: ([^,]+)/.exec(message) ?? [];
  if (unknown !== undefined) return unknownWord(unknown, args, words, command, commands);
  if (/^Not enough non-option/.test(message) && command !== undefined) {
    return `An argument is missing: the usage is matquant ${command.usage}`;
  }
  const [, hungry] = /^Not enough arguments following: (.+)/.exec(message) ?? [];
  if (hungry !== undefined) return `The option ${hungry.length === 1 ? '-' : '--'}${hungry} needs a value`;
  const [, option, value, choices] = /Argument: (.+), Given: (.+), Choices: (.+)/.exec(message) ?? [];
  if (option !== undefined)
    return `--${option} cannot be ${value?.replaceAll('"', '')}; the choices are ${choices?.replaceAll('"', '')}`;
  return message.replaceAll(/\s+/g, ' ').trim();
}

function unknownWord(
  word: string,
  args: readonly string[],
  words: readonly string[],
  command: Command | undefined,
  commands: readonly Command[],
): string {
  const verb = words[0];
  if (command === undefined && verb !== undefined) {
    const verbs = commands.map((candidate) => candidate.verb);
    return `There is no command ${verb}${didYouMean(nearest(verb, verbs)) ?? `; the commands are ${verbs.join(', ')}`}`;
  }
  const isOption = args.some((arg) => arg === `-${word}` || arg.startsWith(`--${word}`));
  if (!isOption) return `Unexpected argument ${word}`;
  const dashes = args.includes(`-${word}`) ? '-' : '--';
  const close = nearest(word, [...(command?.optionNames ?? []), ...EVERYWHERE]);
  return `There is no option ${dashes}${word}${didYouMean(close && `--${close}`) ?? ''}`;
}

const didYouMean = (close: string | undefined): string | undefined => close && `; did you mean ${close}?`;
