/** YAML that every parser reads alike: block collections, and strings in double quotes unless they are plain words. */
import { quoted } from './quote.js';

/** What can be written. Fields that are undefined are left out. */
export type Yaml = string | number | boolean | readonly Yaml[] | { readonly [key: string]: Yaml | undefined };

/** The text of a value, with a line end. */
export const yamlText = (value: { readonly [key: string]: Yaml | undefined }): string =>
  `${linesOf(value).join('\n')}\n`;

function linesOf(value: Yaml): readonly string[] {
  if (isList(value)) return value.flatMap((item) => indented(linesOf(item), '- ', '  '));
  if (typeof value !== 'object') return [scalar(value)];
  return Object.entries(value).flatMap(([key, field]) => (field === undefined ? [] : fieldLines(key, field)));
}

function fieldLines(key: string, value: Yaml): readonly string[] {
  const name = scalar(key);
  if (typeof value === 'string' && isScript(value))
    return [`${name}: |`, ...indented(value.trimEnd().split('\n'), '  ', '  ')];
  if (typeof value !== 'object') return [`${name}: ${scalar(value)}`];
  const lines = linesOf(value);
  if (lines.length === 0) return [`${name}: ${isList(value) ? '[]' : '{}'}`];
  return [`${name}:`, ...indented(lines, '  ', '  ')];
}

const isList = (value: Yaml): value is readonly Yaml[] => Array.isArray(value);

const indented = (lines: readonly string[], first: string, rest: string): readonly string[] =>
  lines.map((line, at) => (line === '' ? '' : `${at === 0 ? first : rest}${line}`));

/** Several lines of printable ASCII, the first of them not indented. */
const isScript = (text: string): boolean => /^[!-~][\n -~]*\n$/.test(text);

const PLAIN = /^[A-Za-z/][\w./@-]*( [\w./@-]+)*$/;
/** Words that some parser takes for something else. */
const WORDS = /^(true|false|yes|no|on|off|null|y|n)$/i;

function scalar(value: string | number | boolean): string {
  if (typeof value !== 'string') return String(value);
  if (PLAIN.test(value) && (!WORDS.test(value) || value === 'on')) return value;
  return quoted(value);
}
