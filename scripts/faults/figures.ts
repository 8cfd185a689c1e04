/** Figures of rows as CSV, so that those of two commits can stand side by side. */
import { existsSync, readFileSync, writeFileSync } from 'node:fs';

export interface Figures {
  readonly name: string;
  readonly tried: number;
  readonly right: number;
  readonly silent: number;
  readonly fault: number;
  readonly skipped: number;
}

const HEADER = 'row,tried,right,silently wrong,other faults,skipped';

/** The rows of a file, in its order; none when it is not there. */
export function readFigures(path: string): readonly Figures[] {
  if (!existsSync(path)) return [];
  const lines = readFileSync(path, 'utf8').trim().split('\n').slice(1);
  return lines.flatMap((line) => {
    const [, name, ...cells] = /^"(.*)",(\d+),(\d+),(\d+),(\d+),(\d+)$/.exec(line) ?? [];
    if (name === undefined) return [];
    const [tried, right, silent, fault, skipped] = cells.map(Number) as [number, number, number, number, number];
    return [{ name, tried, right, silent, fault, skipped }];
  });
}

/** Puts a row into a file, in place of one of the same name. */
export function saveFigures(path: string, row: Figures): void {
  const rows = [...readFigures(path)];
  const at = rows.findIndex(({ name }) => name === row.name);
  if (at >= 0) rows[at] = row;
  else rows.push(row);
  const lines = rows.map(({ name, tried, right, silent, fault, skipped }) =>
    [`"${name}"`, tried, right, silent, fault, skipped].join(','),
  );
  writeFileSync(path, `${[HEADER, ...lines].join('\n')}\n`);
}
