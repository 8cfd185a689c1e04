/** docs/models.md is what its command prints, and the models in it compute what their sources do. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from '@jest/globals';
import { ROWS, type Row } from '../../scripts/models/rows.js';
import { linesOf, modelsPage } from '../../scripts/models/table.js';
import { root } from '../support/paths.js';

const page = readFileSync(join(root, 'docs/models.md'), 'utf8');
const rowsIn = (text: string): readonly (readonly string[])[] =>
  text
    .split('\n')
    .filter((line) => line.startsWith('| '))
    .map((line) => line.slice(2, -2).split(' | '))
    .slice(2);
const titleOf = (row: Row): string =>
  'spec' in row ? `${row.spec.name} | ${row.form.name}` : `${row.architecture} | ${row.exporter}`;

describe('docs/models.md', () => {
  it('has what is found in every model, as `node dist/scripts/models-table.js` writes it', async () => {
    const printed = rowsIn(modelsPage(await linesOf(ROWS, false)));
    const committed = rowsIn(page);
    expect(committed.map((cells) => cells.slice(0, 4))).toEqual(printed.map((cells) => cells.slice(0, 4)));
    const proseOf = (text: string): string => text.slice(0, text.indexOf('\n| '));
    expect(proseOf(page)).toBe(proseOf(modelsPage([])));
    expect(committed.length).toBeGreaterThanOrEqual(60);
    expect(new Set(ROWS.map(titleOf)).size).toBe(ROWS.length);
  });

  it.each([
    'Gemma 2 | onnxruntime-genai, rotary outside',
    'Gemma 3n | optimum, with past',
    'Gemma 4, keys as values | onnxruntime-genai',
    'Mistral 7B | optimum, merged',
    'Mistral 7B | operators of opset 23, with past, int4 QDQ, `--dequantize-source`',
    'Ministral 3 | operators of opset 23, with past',
    'Mixtral, stacks, Einsum | products as Einsum',
    'Phi-4 mini | onnxruntime-genai, rotary outside',
  ])('has the error of %s', async (title) => {
    const row = ROWS.find((each) => titleOf(each) === title) as Row;
    const [line] = await linesOf([row], true);
    const committed = rowsIn(page).find(([architecture, exporter]) => `${architecture} | ${exporter}` === title);
    expect(line?.checked?.text).toBe(committed?.[4]);
    expect(line?.checked?.error).toBeGreaterThan(1e-4);
  });
});
