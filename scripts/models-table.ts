/**
 * Writes docs/models.md: every model of the table is built, compiled to int8 and compared with its source.
 *   node dist/scripts/models-table.js [--print] [--structure] [--only TEXT] [--keep FOLDER]
 * --print prints instead; --structure compiles nothing; --only takes rows whose architecture or exporter has TEXT in it. With --print, each
 * error follows in full. --keep leaves the models in FOLDER, for scripts/check-models.py, which runs them in Python.
 */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { root } from '../test/support/paths.js';
import { ROWS, type Row } from './models/rows.js';
import { linesOf, modelsPage } from './models/table.js';

const { values } = parseArgs({
  options: {
    print: { type: 'boolean' },
    structure: { type: 'boolean' },
    only: { type: 'string' },
    keep: { type: 'string' },
  },
});
const titleOf = (row: Row): string =>
  'spec' in row ? `${row.spec.name} ${row.form.name}` : `${row.architecture} ${row.exporter}`;
const rows = ROWS.filter((row) => titleOf(row).includes(values.only ?? ''));
const lines = await linesOf(rows, !values.structure, values.keep);
if (values.print || values.structure || values.only !== undefined) {
  console.log(modelsPage(lines));
  for (const { architecture, exporter, checked } of lines)
    if (checked?.error !== undefined) console.log(`${architecture}, ${exporter}: ${checked.error}`);
} else writeFileSync(join(root, 'docs/models.md'), modelsPage(lines));
