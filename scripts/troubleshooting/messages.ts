/** Reads the sentences of errors out of the source: what `fail` and `CompilerError` are called with. */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { ERRORS, type ErrorCode } from '../../src/diagnostics.js';

/** The words of an error, with `…` for what differs from one error to the next. */
export interface Message {
  readonly code: ErrorCode;
  readonly text: string;
}

const CALL = /\b(?:fail|new CompilerError)\(\s*'([a-z0-9-]+)',/g;
/** Shorter ones are parts of sentences. */
const SHORTEST_WORDS = 3;

/** Messages of all files of some folders, each once, in the order of the alphabet. */
export function messagesBelow(folders: readonly string[]): readonly Message[] {
  const paths = folders.flatMap((folder) =>
    readdirSync(folder, { recursive: true })
      .map(String)
      .filter((name) => name.endsWith('.ts'))
      .map((name) => join(folder, name)),
  );
  const found = paths.flatMap((path) => messagesOf(readFileSync(path, 'utf8')));
  const unique = new Map(found.map((message) => [`${message.text}\n${message.code}`, message]));
  return [...unique.entries()].sort(([a], [b]) => (a < b ? -1 : 1)).map(([, message]) => message);
}

/** Messages of one source text. */
export function messagesOf(source: string): readonly Message[] {
  return [...source.matchAll(CALL)].flatMap((call) => {
    const code = call[1] as string;
    const text = argumentsFrom(source, call.index + call[0].length)[1];
    if (text === undefined || !Object.hasOwn(ERRORS, code)) return [];
    return literalsOf(text).map((literal) => ({ code: code as ErrorCode, text: literal }));
  });
}

/** The arguments of a call from a place behind its opening bracket on, to the bracket that closes it. */
function argumentsFrom(source: string, start: number): readonly string[] {
  const found: string[] = [];
  let [from, depth] = [start, 0];
  for (let at = start; at < source.length; at++) {
    const sign = source[at] as string;
    if (isQuote(sign)) at = endOfLiteral(source, at);
    else if ('([{'.includes(sign)) depth++;
    else if (')]}'.includes(sign) && depth-- === 0) return [...found, source.slice(from, at)];
    else if (sign === ',' && depth === 0) {
      found.push(source.slice(from, at));
      from = at + 1;
    }
  }
  return found;
}

const isQuote = (sign: string | undefined): boolean => sign === "'" || sign === '"' || sign === '`';

/** Where a string or template that begins at a place ends: the place of its closing quote. */
function endOfLiteral(source: string, start: number): number {
  const quote = source[start];
  for (let at = start + 1; at < source.length; at++) {
    if (source[at] === '\\') at++;
    else if (source[at] === quote) return at;
    else if (quote === '`' && source.startsWith('${', at)) at = endOfHole(source, at + 2);
  }
  return source.length;
}

/** Where the hole of a template ends: the place of its closing brace. */
function endOfHole(source: string, start: number): number {
  let depth = 0;
  for (let at = start; at < source.length; at++) {
    const sign = source[at] as string;
    if (isQuote(sign)) at = endOfLiteral(source, at);
    else if (sign === '{') depth++;
    else if (sign === '}' && depth-- === 0) return at;
  }
  return source.length;
}

/** The strings and templates of an expression that are sentences. */
function literalsOf(expression: string): readonly string[] {
  const found: string[] = [];
  for (let at = 0; at < expression.length; at++) {
    if (!isQuote(expression[at])) continue;
    const end = endOfLiteral(expression, at);
    found.push(wordsOf(expression.slice(at + 1, end)));
    at = end;
  }
  return found.filter((text) => text.split(' ').filter((word) => /\p{L}/u.test(word)).length >= SHORTEST_WORDS);
}

/** The text of a literal with `…` in the place of holes. */
function wordsOf(body: string): string {
  let text = '';
  for (let at = 0; at < body.length; at++) {
    if (body[at] === '\\') text += body[++at] ?? '';
    else if (body.startsWith('${', at)) {
      at = endOfHole(body, at + 2);
      text += '…';
    } else text += body[at];
  }
  return text.replaceAll(/\s+/g, ' ').trim();
}
