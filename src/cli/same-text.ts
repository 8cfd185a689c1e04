/** How one set differs from another, as text for people. */
import type { SameResult } from '../evaluate/index.js';
import { paragraphs, right, significant, table } from './render.js';

/** A row per precision where something differs, then notes and the verdict. */
export function sameText({ with: other, equal, passed, problems, notes, precisions }: SameResult): string {
  const rows = precisions.map(({ bits, weights, codes, entries, tables, rms, largest, at }) => [
    `int${bits}`,
    percent(codes, weights),
    percent(tables, entries),
    significant(rms),
    significant(largest),
    at ?? '',
  ]);
  const columns = ['different codes', 'different tables', 'RMS change', 'largest'].map(right);
  const differences = equal ? '' : table([{ title: '' }, ...columns, { title: 'at' }], rows);
  const steps = equal ? '' : 'Changes of weights are in steps of their codes.';
  const verdict = equal
    ? `Data and graphs have the same bytes as those of ${other}.`
    : passed
      ? `Codes and weights are those of ${other} within the limits.`
      : `DIFFERENT  ${other}: ${problems.join(' ')}`;
  return paragraphs(differences, steps, notes.join('\n'), verdict);
}

const percent = (count: number, of: number): string => (count === 0 ? '0' : `${significant((100 * count) / of)} %`);
