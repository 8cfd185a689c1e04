/** Text for people: tables, sizes and durations. Pure functions; printing is main's. */
import { byteSize } from '../format.js';

export { byteSize, counted, duration, significant } from '../format.js';

export interface Column {
  readonly title: string;
  readonly align?: 'left' | 'right';
}

/** A column of numbers. */
export const right = (title: string): Column => ({ title, align: 'right' });

/** A plain table: titles, then rows, columns two spaces apart, no trailing blanks. */
export function table(columns: readonly Column[], rows: readonly (readonly string[])[]): string {
  const widths = columns.map(({ title }, index) =>
    Math.max(title.length, ...rows.map((row) => (row[index] ?? '').length)),
  );
  const line = (cells: readonly string[]): string =>
    columns
      .map(({ align }, index) => {
        const [cell, width] = [cells[index] ?? '', widths[index] ?? 0];
        return align === 'right' ? cell.padStart(width) : cell.padEnd(width);
      })
      .join('  ')
      .trimEnd();
  return [columns.map(({ title }) => title), ...rows].map(line).join('\n');
}

/** Paragraphs with an empty line between them; empty ones are dropped. */
export function paragraphs(...parts: readonly string[]): string {
  return parts.filter((part) => part !== '').join('\n\n');
}

/** Files with their sizes. */
export function fileList(files: readonly { readonly path: string; readonly bytes: number }[]): string {
  return table(
    [{ title: 'file' }, right('size')],
    files.map(({ path, bytes }) => [path, byteSize(bytes)]),
  );
}
