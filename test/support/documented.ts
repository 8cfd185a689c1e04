/** Commands of `matquant` as the documentation writes them. */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { root } from './paths.js';

export interface Documented {
  /** Path from the root of the project. */
  readonly page: string;
  readonly line: string;
  /** What follows `matquant`. */
  readonly args: readonly string[];
}

/** Every page of the documentation, by its path from the root. */
export const pages: readonly string[] = [
  ...readdirSync(root).filter((name) => name.endsWith('.md')),
  ...readdirSync(join(root, 'docs'), { recursive: true })
    .map((name) => `docs/${String(name).replaceAll('\\', '/')}`)
    .filter((name) => name.endsWith('.md')),
  'examples/web/README.md',
];

/** Examples that are scripts as a whole. */
export const scripts: readonly string[] = ['examples/ci/matquant.sh', 'examples/gitlab/matquant.yml'];

const BLOCK = /^ *```(\w*)[^\n]*\n([\s\S]*?)^ *```/gm;

/** The lines of a page's blocks of shell commands, or of a script; continued lines are joined, comments are cut off. */
export function shellLines(page: string): readonly string[] {
  const text = readFileSync(join(root, page), 'utf8');
  const blocks = [...text.matchAll(BLOCK)].filter(([, language]) =>
    ['', 'sh', 'bash', 'yaml', 'yml'].includes(language ?? ''),
  );
  const bodies = page.endsWith('.md') ? blocks.map(([, , body = '']) => body) : [text];
  const lines = bodies.flatMap((body) => body.replaceAll(/\\\n\s*/g, '').split('\n'));
  return lines.map((line) => line.replace(/(^|\s)#\s.*$/, '').trim()).filter((line) => line !== '');
}

const CALL =
  /(?:^|^- |[;&|]\s*|\bdo\s+|\brun:\s*|^docker run .*? )(?:\$ ?)?(?:npx\s+(?:--yes\s+--package onnx-matquant\s+)?)?(?:onnx-)?matquant\s+(\S.*)$/;

/** Words of a command up to what the shell itself reads. */
function wordsOf(text: string): readonly string[] {
  const words = text.match(/"[^"]*"|'[^']*'|[^\s"']+/g) ?? [];
  const end = words.findIndex((word) => /^(\d?[<>].*|[|&;].*|done)$/.test(word));
  const own = end < 0 ? words : words.slice(0, end);
  return own.map((word) => word.replaceAll(/^["'[]|["'\]]$/g, '')).filter((word) => word !== '');
}

/** Calls of `matquant` in the shell lines of a page. */
export function commandsOf(page: string): readonly Documented[] {
  return shellLines(page).flatMap((line) => {
    const call = CALL.exec(line)?.[1];
    return call === undefined ? [] : [{ page, line, args: wordsOf(call) }];
  });
}

/** Calls of `matquant` in the running text of a page: code spans with a verb and more. */
export function spansOf(page: string): readonly Documented[] {
  const text = readFileSync(join(root, page), 'utf8').replaceAll(BLOCK, '');
  return [...text.matchAll(/`(?:npx )?(?:onnx-)?matquant ([a-z][^`]*)`/g)].map(([line, call = '']) => ({
    page,
    line,
    args: wordsOf(call),
  }));
}
