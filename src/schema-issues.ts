/** What a schema found wrong with a value, in words that name the field, what it holds and what it takes. */
import type { z } from 'zod';

type Issue = z.core.$ZodIssue;

/** One line; the first issues say enough. */
export function schemaIssues(error: z.ZodError, value: unknown): string {
  const [shown, more] = [error.issues.slice(0, MOST), error.issues.length - MOST];
  const lines = shown.map((issue) => issueSentence(issue, value));
  return [...lines, ...(more > 0 ? [`and ${more} more`] : [])].join('; ');
}

const MOST = 3;
/** Characters of a value that are shown. */
const LONGEST = 60;

/** One issue in words. `name` spells the place of a field; `distill.bits[0]` by default. */
export function issueSentence(issue: Issue, value: unknown, name: NameOf = placeOf): string {
  const place = name(issue.path) || 'the value';
  if (issue.code === 'unrecognized_keys') {
    const names = issue.keys.map((key) => name([...issue.path, key]));
    return `there is no field ${names.join(', ')}`;
  }
  const takes = takenBy(issue);
  if (takes === undefined) return `${place}: ${issue.message}`;
  const found = issue.path.reduce<unknown>(
    (inner, key) => (inner as Record<PropertyKey, unknown> | undefined)?.[key],
    value,
  );
  return `${place} ${found === undefined ? 'is missing' : `is ${shown(found)}`}, and takes ${takes}`;
}

export type NameOf = (path: readonly PropertyKey[]) => string;

/** `distill.bits[0]`. */
export function placeOf(path: readonly PropertyKey[]): string {
  return path.reduce<string>((text, key) => {
    if (typeof key === 'number') return `${text}[${key}]`;
    return text === '' ? String(key) : `${text}.${String(key)}`;
  }, '');
}

/** A value as it would be written, cut when it is long. */
function shown(value: unknown): string {
  if (typeof value === 'number' || typeof value === 'bigint') return String(value);
  if (typeof value === 'function' || typeof value === 'symbol') return `a ${typeof value}`;
  const text = JSON.stringify(value, (_, inner) => (typeof inner === 'bigint' ? String(inner) : inner)) ?? typeof value;
  return text.length > LONGEST ? `${text.slice(0, LONGEST)}…` : text;
}

/** What would do in the place of the value; undefined where the message of the rule says it all. */
function takenBy(issue: Issue): string | undefined {
  // A rule that says itself what it takes.
  if (issue.message.startsWith('takes ')) return issue.message.slice('takes '.length);
  switch (issue.code) {
    case 'invalid_value':
      return issue.values.map(String).join(', ');
    case 'invalid_type':
      return TYPES[issue.expected] ?? issue.expected;
    case 'too_small':
      return bound(issue.origin, issue.minimum, issue.inclusive === false ? 'more than' : 'at least');
    case 'too_big':
      return bound(issue.origin, issue.maximum, issue.inclusive === false ? 'less than' : 'at most');
    case 'not_multiple_of':
      return `a multiple of ${issue.divisor}`;
    case 'invalid_format':
      return issue.format === 'regex' ? `text of the form ${issue.pattern}` : `text in the form of ${issue.format}`;
    case 'invalid_key':
      return `keys of another form than ${JSON.stringify(issue.path.at(-1))}`;
    case 'invalid_union':
      return eitherOf(issue.errors);
    default:
      return undefined;
  }
}

const TYPES: Readonly<Record<string, string>> = {
  string: 'text',
  number: 'a number',
  int: 'a whole number',
  bigint: 'a whole number',
  boolean: 'true or false',
  array: 'a list',
  object: 'an object',
  record: 'an object',
  map: 'an object',
  function: 'a function',
  undefined: 'nothing',
  null: 'null',
};

function bound(origin: string, limit: number | bigint, how: string): string {
  if (origin === 'string') return limit === 1 ? 'text that is not empty' : `text of ${how} ${limit} characters`;
  if (origin === 'array' || origin === 'set') return `${how} ${limit} ${Number(limit) === 1 ? 'entry' : 'entries'}`;
  return `a number of ${how} ${limit}`.replace('of more', 'more').replace('of less', 'less');
}

/** The alternatives of a union, each once; undefined when one of them cannot be put in words. */
function eitherOf(branches: readonly (readonly Issue[])[]): string | undefined {
  const taken = branches.map(([first]) => first && takenBy(first));
  if (taken.length === 0 || taken.includes(undefined)) return undefined;
  return [...new Set(taken)].join(branches.flat().every(({ code }) => code === 'invalid_value') ? ', ' : ' or ');
}
