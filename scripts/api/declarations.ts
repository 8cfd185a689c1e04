/** Reads the declaration files that tsc writes: what an entry point exports, with the doc comment and the text of each declaration. */
import { readFileSync } from 'node:fs';
import { dirname, resolve } from 'node:path';

export type Kind = 'function' | 'class' | 'const' | 'interface' | 'type';

/** One exported name. */
export interface Declaration {
  readonly name: string;
  readonly kind: Kind;
  /** The doc comment without its stars; empty where there is none. */
  readonly doc: string;
  /** The declaration as it stands in the file, without `export` and `declare`. */
  readonly text: string;
  /** Types of the project that the text names. */
  readonly mentions: readonly string[];
}

interface DeclarationFile {
  readonly own: ReadonlyMap<string, Declaration>;
  /** Exported name → where it comes from. */
  readonly forwarded: ReadonlyMap<string, { readonly name: string; readonly path: string }>;
}

const files = new Map<string, DeclarationFile>();

/** What a declaration file exports, in its order. */
export function exportsOf(path: string): readonly Declaration[] {
  const text = readFileSync(path, 'utf8');
  const { own, forwarded } = fileOf(path);
  const exported = [...own.values()].filter(({ name }) => new RegExp(`^export .*\\b${name}\\b`, 'm').test(text));
  return [...[...forwarded.keys()].map((name) => declarationOf(path, name)), ...exported];
}

/** A declaration, followed through files that only export it further. */
function declarationOf(path: string, name: string): Declaration {
  const { own, forwarded } = fileOf(path);
  const found = own.get(name);
  if (found !== undefined) return found;
  const next = forwarded.get(name);
  if (next === undefined) throw new Error(`${path} does not declare ${name}`);
  return { ...declarationOf(next.path, next.name), name };
}

function fileOf(path: string): DeclarationFile {
  const known = files.get(path);
  if (known !== undefined) return known;
  const read = readDeclarations(path);
  files.set(path, read);
  return read;
}

const LINK = /^(import|export)(?: type)? \{([^}]*)\} from '(\.[^']*)';/gm;
const HEAD = /^(?:export )?(?:declare )?(?:abstract )?(function|class|const|interface|type) (\w+)/;

function readDeclarations(path: string): DeclarationFile {
  const text = readFileSync(path, 'utf8');
  const forwarded = new Map<string, { name: string; path: string }>();
  const imported: string[] = [];
  for (const [, verb, list = '', from = ''] of text.matchAll(LINK)) {
    for (const part of list.split(',').map((each) => each.trim().replace(/^type /, ''))) {
      const [name = '', as = name] = part.split(' as ');
      if (name === '') continue;
      if (verb === 'import') imported.push(as);
      else forwarded.set(as, { name, path: resolve(dirname(path), from.replace(/\.js$/, '.d.ts')) });
    }
  }
  const bare = statementsOf(text);
  const locals = bare.filter(({ kind }) => kind !== 'const' && kind !== 'function').map(({ name }) => name);
  const known = new Set([...imported, ...locals]);
  const own = new Map(bare.map((each) => [each.name, { ...each, mentions: mentionsOf(each, known) }]));
  return { own, forwarded };
}

/** The names of types in a declaration. */
function mentionsOf({ name, text }: Omit<Declaration, 'mentions'>, known: ReadonlySet<string>): readonly string[] {
  const words = withoutComments(text).match(/\b[A-Z]\w*\b/g) ?? [];
  return [...new Set(words)].filter((word) => word !== name && known.has(word));
}

const withoutComments = (text: string): string => text.replaceAll(/\/\*[\s\S]*?\*\//g, '').replaceAll(/'[^']*'/g, "''");

/** The declarations of a file: each begins at the start of a line and ends where its brackets are closed. */
function statementsOf(text: string): readonly Omit<Declaration, 'mentions'>[] {
  const found: Omit<Declaration, 'mentions'>[] = [];
  const lines = text.split('\n');
  let doc = '';
  for (let at = 0; at < lines.length; at++) {
    const line = lines[at] ?? '';
    if (line.startsWith('/**')) {
      const end = lines.findIndex((each, index) => index >= at && each.includes('*/'));
      doc = plainComment(lines.slice(at, end + 1).join('\n'));
      at = end;
      continue;
    }
    const [, kind, name] = HEAD.exec(line) ?? [];
    if (kind !== undefined && name !== undefined) {
      const end = endOf(lines, at);
      const body = lines.slice(at, end + 1).join('\n');
      found.push({ name, kind: kind as Kind, doc, text: tidy(body) });
      at = end;
    }
    doc = '';
  }
  return found;
}

/** The last line of the declaration that begins at a line. */
function endOf(lines: readonly string[], start: number): number {
  for (let end = start; end < lines.length; end++) {
    const code = withoutComments(lines.slice(start, end + 1).join('\n')).trimEnd();
    const open = (code.match(/[{([]/g) ?? []).length - (code.match(/[})\]]/g) ?? []).length;
    if (open === 0 && /[;}]$/.test(code) && !/^\s*\|/.test(lines[end + 1] ?? '')) return end;
  }
  throw new Error(`No end of the declaration ${lines[start]}`);
}

const plainComment = (comment: string): string =>
  comment
    .replace(/^\/\*\*\s?/, '')
    .replace(/\s*\*\/$/, '')
    .split('\n')
    .map((line) => line.replace(/^\s*\* ?/, '').trim())
    .join(' ')
    .trim();

const tidy = (body: string): string =>
  body
    .replace(/^export (declare )?/, '')
    .replaceAll(/^ {4}(#private;|constructor\(.*)\n/gm, '')
    .replaceAll(/^( {4})+/gm, (spaces) => ' '.repeat(spaces.length / 2))
    .replaceAll(/ +$/gm, '');
