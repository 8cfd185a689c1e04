/** What a schema found wrong with a value, in words that name the field, what it holds and what it takes. */
import type { z } from 'zod';

type Issue = z.core.$ZodIssue;

/** One line; the first issues say enough. */
export function schemaIssues(error: z.ZodError, value: unknown): string {
  const [shown, more] = [error.issues.slice(0, MOST), error.issues.length - MOST];
  const lines = shown.map((issue) => sentence(issue, value));
  return [...lines, ...(more > 0 ? [`and ${more} more`] : [])].join('; ');
}

const MOST = 3;
/** Characters of a value that are shown. */
const LONGEST = 60;

function sentence(issue: Issue, value: unknown): string {
  const place = placeOf(issue.path);
  if (issue.code === 'unrecognized_keys') {
    const names = issue.keys.map((key) => placeOf([...issue.path, key]));
    return `there is no field ${names.join(', ')}`;
  }
  const accepted = acceptedBy(issue);
  if (accepted === undefined) return place === '' ? issue.message : `${place}: ${issue.message}`;
  const found = issue.path.reduce<unknown>(
    (inner, key) => (inner as Record<PropertyKey, unknown> | undefined)?.[key],
    value,
  );
  const held = found === undefined ? 'is missing' : `is ${JSON.stringify(found).slice(0, LONGEST)}`;
  return `${place === '' ? 'the value' : place} ${held}, and takes ${accepted.map(String).join(', ')}`;
}

/** The literal values that would do, where nothing else would. */
function acceptedBy(issue: Issue): readonly unknown[] | undefined {
  if (issue.code === 'invalid_value') return issue.values;
  if (issue.code !== 'invalid_union') return undefined;
  const branches = issue.errors.map((branch) => branch.map(acceptedBy));
  const values = branches.flat(2);
  return values.length === 0 || values.includes(undefined) ? undefined : values;
}

/** `distill.bits[0]`. */
function placeOf(path: readonly PropertyKey[]): string {
  return path.reduce<string>((text, key) => {
    if (typeof key === 'number') return `${text}[${key}]`;
    return text === '' ? String(key) : `${text}.${String(key)}`;
  }, '');
}
