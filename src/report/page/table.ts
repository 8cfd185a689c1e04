/** Tables that a screen reader can walk: a caption, headers with a scope, numbers to the right. */
import { type Child, element, type Html } from './html.js';

export interface TableColumn {
  readonly title: Child;
  /** Right-aligned figures. */
  readonly numeric?: boolean;
}

export const text = (title: string): TableColumn => ({ title });
export const number = (title: string): TableColumn => ({ title, numeric: true });

/** The first cell of each row is its header. Wide tables scroll in their own box, which the keyboard can reach. */
export function table(caption: string, columns: readonly TableColumn[], rows: readonly (readonly Child[])[]): Html {
  const cell = (name: 'td' | 'th', at: number, content: Child, scope?: 'col' | 'row'): Html =>
    element(name, { scope, class: columns[at]?.numeric ? 'n' : undefined }, content);
  const head = columns.map(({ title }, at) => cell('th', at, title, 'col'));
  const body = rows.map((row) =>
    element(
      'tr',
      {},
      row.map((content, at) => (at === 0 ? cell('th', at, content, 'row') : cell('td', at, content))),
    ),
  );
  return element(
    'div',
    { class: 'scroll', role: 'region', tabindex: 0, 'aria-label': caption },
    element(
      'table',
      {},
      element('caption', {}, caption),
      element('thead', {}, element('tr', {}, head)),
      element('tbody', {}, body),
    ),
  );
}
