/**
 * Errors in the words of the command line. The library names its options (`threads`); whoever typed a command sees the flag
 * (`--threads`).
 */
import { asSentence, type CompilerError, ERRORS, type ErrorCode } from '../diagnostics.js';

/** Options whose flag is not their name in kebab case, by their place in the options or by its last part. */
const FLAGS: Readonly<Record<string, string>> = {
  output: '--out',
  memoryBytes: '--memory',
  targetBytes: '--target-size',
  averageBits: '--avg-bits',
  fixed: '--fix',
  sensitivities: '--sensitivity',
  files: '--text',
  jsonlField: '--jsonl-field',
  tasks: '--task',
  evaluations: '--eval',
  'search.evaluations': '--evaluations',
  sweeps: '--sweep',
  'score.text': '--score-text',
  'score.text.files': '--score-text',
  'score.text.ids': '--score-ids',
  'score.tokens': '--score-tokens',
  pollSeconds: '--poll',
  leaseSeconds: '--lease',
};

/** Options that are named by their verb: positionals, and flags whose name says more. */
const BY_VERB: Readonly<Record<string, Readonly<Record<string, string>>>> = {
  lambda: { candidates: '--lambdas' },
  eval: { candidates: 'candidates', reference: 'reference' },
  verify: { original: 'original', candidate: 'candidate' },
  compare: { base: 'base', head: 'head', model: '--model' },
};
const POSITIONALS: ReadonlySet<string> = new Set(['model', 'set', 'folder', 'plan']);

/** Options that a command line can name at all. */
const NAMED: ReadonlySet<string> = new Set(
  (
    'name recipe preset overwrite text tokenizer ids bos statistics threads seed work workDir window windows tokens skip limit ' +
    'standalone strict bits block scope attentionBits embeddingBits floatStorage compute target initializerInputs dequantizeSource steps minutes prefix ' +
    'method methods shape per maxKl maxNllIncrease minTop1 maxSize bitsFile saveBits original score kept slice format ' +
    'from file run junit goal search measure thresholds budget unclear sarif summary annotate speed markdown provenance shards unit once retry for ' +
    'workers image claim queue secret'
  ).split(' '),
);

export interface Explained {
  readonly code: string;
  readonly at: string;
  readonly message: string;
  readonly remedy: string;
}

/** The parts of an error with flags in the place of options. */
export function inFlags({ code, at, message }: CompilerError, verb: string): Explained {
  return {
    code,
    at: flagOf(at, verb) ?? at,
    message: withFlags(asSentence(message), verb),
    remedy: errorInFlags(code, verb),
  };
}

/** What to do about an error, in the words of the command line. */
export const errorInFlags = (code: ErrorCode, verb: string = 'compile'): string =>
  withFlags(code === 'bad-usage' ? 'see --help for the accepted form' : ERRORS[code].remedy, verb);

/** A text with flags in the place of option names, which stand in backticks. */
export const withFlags = (text: string, verb: string): string =>
  text.replaceAll(/`([A-Za-z0-9.[\]]+)`/g, (whole, option: string) => flagOf(option, verb) ?? whole);

/** The flag or positional of an option, or undefined for what is none. */
function flagOf(option: string, verb: string): string | undefined {
  const path = option.replaceAll(/\[\d+\]/g, '').split('.');
  const last = path.at(-1) as string;
  const known = BY_VERB[verb]?.[last] ?? FLAGS[path.join('.')] ?? FLAGS[last];
  if (known !== undefined) return known;
  if (POSITIONALS.has(option)) return option;
  return NAMED.has(last) ? `--${kebab(last)}` : undefined;
}

const kebab = (name: string): string => name.replaceAll(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);
